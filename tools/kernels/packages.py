"""Find and download Debian's kernels with an apt of its own, which leaves the machine's alone."""

import functools
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.kernels.commands import Failed, run
from tools.kernels.targets import FLAVOURS, NEWEST

ARCHITECTURES = ("amd64", "arm64")
SUITES = ("bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
SECURITY = ("bullseye-security", "bookworm-security", "trixie-security")
"""Between them they have every series that Debian still has, and its newest kernel."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
KEEP_INDEX = ("-o", "Dir::Cache::pkgcache=pkgcache.bin")
"""Images of containers switch this off in apt's own configuration, which is read after ours."""
LISTS_LAST_S = 24 * 3600
"""How old package lists may be before they are fetched again."""

PARTS = re.compile(r"\blinux-(?:base|binary|modules)-\d[\w.+~-]*")
"""In the dependencies of an image package: since 6.19 it is empty, and these have its files."""


def cache_folder() -> Path:
    """Return the folder for what is downloaded and built: in the user's cache, as XDG names it."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".cache"
    return base / "chainbench-agent" / "kernels"


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the lists: its version, and the names of packages it depends on, as text."""

    name: str
    architecture: str
    version: str
    depends: str = ""

    @property
    def file(self) -> str:
        """The name that apt gives to the downloaded file."""
        version = self.version.replace(":", "%3a")
        return f"{self.name}_{version}_{self.architecture}.deb"


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel: where its image and its modules are, and the release uname reports."""

    package: Package
    release: str
    image: Path
    modules: Path


class Archive:
    """Debian's archive, as far as kernels go. Raises `Failed` from every method."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "apt"
        self._debs = folder / "debs"
        self._unpacked = folder / "unpacked"
        self._config = self._folder / "apt.conf"

    def update(self) -> None:
        """Fetch the package lists, unless there are some of the last day."""
        stamp = self._folder / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_LAST_S:
            return
        self._configure()
        try:
            self._apt("apt-get", "update", "-qq")
        except Failed:
            if not stamp.exists():
                raise
        else:
            stamp.touch()

    def kernel(self, series: str, architecture: str, flavour: str) -> Kernel:
        """Return the newest kernel of a series, such as ``6.1``, downloaded and unpacked."""
        package = self._newest(series, architecture, flavour)
        names = PARTS.findall(package.depends)
        parts = self._packages(names, architecture) if names else []
        return unpacked_kernel(package, self._unpack(package, *parts))

    def busybox(self, architecture: str) -> Path:
        """Return a statically linked busybox."""
        folder = self._unpack(*self._packages(["busybox-static"], architecture))
        found = [path for path in folder.rglob("bin/busybox") if path.is_file()]
        if not found:
            raise Failed(f"busybox-static for {architecture} has no bin/busybox")
        return found[0]

    def _newest(self, series: str, architecture: str, flavour: str) -> Package:
        names = self._apt("apt-cache", "pkgnames", "linux-image-").split()
        found = names_of(names, series, FLAVOURS[flavour].format(architecture))
        if not found:
            raise Failed(f"Debian has no {flavour} kernel {series} for {architecture} any more")
        return newest(self._packages(found, architecture))

    def _packages(self, names: Sequence[str], architecture: str) -> list[Package]:
        wanted = [f"{name}:{architecture}" for name in names]
        text = self._apt("apt-cache", "show", "--no-all-versions", *wanted)
        found = list(packages_of(text, architecture))
        if len(found) != len(names):
            raise Failed(f"Debian lacks some of {', '.join(wanted)}")
        return found

    def _unpack(self, *packages: Package) -> Path:
        folder = self._unpacked / packages[0].file.removesuffix(".deb")
        if folder.exists():
            return folder
        self._debs.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for package in packages:
            run("dpkg-deb", "-x", self._downloaded(package), partial)
        return partial.rename(folder)

    def _downloaded(self, package: Package) -> Path:
        """Return a package's file, which has its name only once it is whole."""
        file = self._debs / package.file
        if not file.exists():
            partial = self._debs / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            wanted = f"{package.name}:{package.architecture}={package.version}"
            self._apt("apt-get", "download", "-qq", wanted, cwd=partial)
            (partial / package.file).rename(file)
        return file

    def _apt(self, *command: str, cwd: Path | None = None) -> str:
        program, *arguments = command
        environment = {**os.environ, "APT_CONFIG": str(self._config)}
        return run(program, *KEEP_INDEX, *arguments, cwd=cwd, env=environment)

    def _configure(self) -> None:
        main, security = mirrors()
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        lines = [
            f"deb [signed-by={KEYRING}] {mirror} {suite} main\n"
            for mirror, suites in ((main, SUITES), (security, SECURITY))
            for suite in suites
        ]
        (self._folder / "sources.list").write_text("".join(lines))
        self._config.write_text(configuration(self._folder))


def configuration(folder: Path) -> str:
    """Return the configuration of an apt that reads and writes only in this folder."""
    of_its_own = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": folder / "etc/preferences.d",
        "APT::Architecture": ARCHITECTURES[0],
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    architectures = "".join(f'APT::Architectures:: "{name}";\n' for name in ARCHITECTURES)
    return "".join(f'{key} "{value}";\n' for key, value in of_its_own.items()) + architectures


def mirrors() -> tuple[str, str]:
    """Return the mirrors that this machine's apt uses: of the archive, and of security updates."""
    text = run(
        *("apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)"), "Created-By: Packages"
    )
    found = dict(line.split("|", 1) for line in text.splitlines() if "|" in line)
    if "Debian" not in found or "Debian-Security" not in found:
        raise Failed("this needs a Debian system whose apt has the archive and security updates")
    return found["Debian"], found["Debian-Security"]


def names_of(names: Iterable[str], series: str, ending: str) -> list[str]:
    """Return the names of image packages of a series (`NEWEST`: the highest) with this ending."""
    # words after the version, such as rt, would be those of another flavour
    version = r"(\d+\.\d+)\.\d+(?:[.+~][\w.+~]*)?(?:-\d[\w.+~]*)*"
    pattern = re.compile(rf"linux-image-{version}-{re.escape(ending)}")
    matches = [match for name in names if (match := pattern.fullmatch(name))]
    found = [(tuple(map(int, match[1].split("."))), match[0]) for match in matches]
    if series == NEWEST:
        wanted = max((key for key, _ in found), default=None)
    else:
        wanted = tuple(map(int, series.split(".")))
    return sorted(name for key, name in found if key == wanted)


def packages_of(text: str, architecture: str) -> Iterator[Package]:
    """Read what ``apt-cache show`` prints."""
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Depends): (.*)$", stanza, re.MULTILINE))
        if "Version" in fields:
            yield Package(
                fields["Package"], architecture, fields["Version"], fields.get("Depends", "")
            )


def newest(packages: Iterable[Package]) -> Package:
    """Return the package with the highest version, as dpkg compares them."""

    def order(one: Package, other: Package) -> int:
        command = ["dpkg", "--compare-versions", one.version, "lt", other.version]
        return -1 if subprocess.run(command, check=False).returncode == 0 else 1

    return max(packages, key=functools.cmp_to_key(order))


def unpacked_kernel(package: Package, folder: Path) -> Kernel:
    """Return the kernel in a folder into which its packages were unpacked. Raises `Failed`."""
    try:
        modules = next(_module_folders(folder))
        image = next(_images(folder, modules))
    except StopIteration:
        raise Failed(f"{package.name} {package.version} has no kernel image or modules") from None
    return Kernel(package, modules.name, image, modules)


def _images(folder: Path, modules: Path) -> Iterator[Path]:
    yield from (folder / "boot").glob(f"vmlinu?-{modules.name}")
    yield from modules.glob("vmlinu?")


def _module_folders(folder: Path) -> Iterator[Path]:
    for above in ("lib/modules", "usr/lib/modules"):
        if (folder / above).is_dir():
            yield from sorted((folder / above).iterdir())
