"""The guests' file system: Debian's user space, the project's dependencies, and this version."""

import hashlib
import os
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.kernels.commands import Failed, run
from tools.kernels.packages import mirrors

CHECKOUT = Path(__file__).parents[2]
PROJECT = "opt/chainbench"
"""Where the tests and this package are in a guest."""
VENV = "opt/venv"
"""Where the wheel is installed in a guest."""

PACKAGES = (
    *("python3", "python3-bpfcc", "python3-venv", "ca-certificates"),
    *("procps", "iproute2", "kmod", "e2fsprogs", "fio", "rt-tests", "bpftool"),
    *("dmsetup", "mdadm"),
    # hdrhistogram has no wheel for arm64
    *("gcc", "libc6-dev", "python3-dev"),
)
FOR_TESTS = ("hypothesis>=6.100", "pytest>=8.3", "pytest-trio>=0.8", "requests>=2.31")
COPIED = ("tests", "tools", "benchmarks", "pyproject.toml")
"""What tests need besides the wheel, and what a guest runs."""

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""This machine's, which may include those of a proxy."""
FOREIGN = {"arm64": "qemu-aarch64"}
"""What runs the programs of another architecture while its tree is built."""
FREE_MB = 1024
"""Room for what the work writes."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """The built project, and the commit that it was built from."""

    path: Path
    commit: str


def image(suite: str, architecture: str, wheel: Wheel, cache: Path) -> Path:
    """Return an ext4 image with this version of the project. Raises `Failed`.

    The tree that it is made from is kept, so only the first time takes minutes.
    """
    tree = _tree(suite, architecture, wheel, cache)
    _install(tree, wheel)
    file = cache / f"{suite}-{architecture}.ext4"
    file.unlink(missing_ok=True)
    size = int(run("du", "-sm", tree).split()[0]) * 5 // 4 + FREE_MB
    # orphan_file is newer than some kernels
    run("mke2fs", "-q", "-t", "ext4", "-O", "^orphan_file", "-d", tree, file, f"{size}M")
    return file


def _tree(suite: str, architecture: str, wheel: Wheel, cache: Path) -> Path:
    tree = cache / "roots" / f"{suite}-{architecture}-{fingerprint(CHECKOUT / 'pyproject.toml')}"
    if tree.exists():
        return tree
    partial = tree.with_name(tree.name + ".partial")
    run("rm", "-rf", "--one-file-system", partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    if architecture in FOREIGN:
        run("update-binfmts", "--enable", FOREIGN[architecture])
    main, _ = mirrors()
    chosen = ["--variant=minbase", f"--architectures={architecture}"]
    # what it mounts in the tree goes with it, even if it is killed
    own = ["unshare", "--mount", "mmdebstrap", f"--include={','.join(PACKAGES)}"]
    run(*own, *chosen, suite, partial, main)
    chrooted(partial, "python3", "-m", "venv", f"/{VENV}")
    _pip(partial, _copied(wheel, partial), *FOR_TESTS)
    return partial.rename(tree)


def fingerprint(pyproject: Path) -> str:
    """Return a text that changes with whatever a tree is made of, apart from the project itself."""
    dependencies = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    content = "\n".join([*dependencies, *FOR_TESTS, *PACKAGES])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _install(tree: Path, wheel: Wheel) -> None:
    """Replace the version of the project that a tree has by this one."""
    _pip(tree, "--no-deps", "--no-index", "--force-reinstall", _copied(wheel, tree))
    project = tree / PROJECT
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=leave_out)
        else:
            shutil.copy(source, project / name)


def _copied(wheel: Wheel, tree: Path) -> str:
    shutil.copy(wheel.path, tree / "opt" / wheel.path.name)
    return f"/opt/{wheel.path.name}"


def _pip(tree: Path, *arguments: str) -> None:
    """Run pip in a tree, with this machine's name servers and certificates."""
    for file in ("/etc/resolv.conf", CERTIFICATES):
        if Path(file).exists():
            shutil.copy(file, tree / file.lstrip("/"))
    chrooted(tree, f"/{VENV}/bin/python", "-m", "pip", "install", "-q", *arguments)


def chrooted(tree: Path, *command: str) -> str:
    """Run a program in a tree, with /proc and /dev as long as it runs. Raises `Failed`."""
    if os.geteuid() != 0:
        raise Failed("building a root file system needs root")
    prepare = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
    own = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
    own.append(f"PIP_CERT={CERTIFICATES}")
    return run("unshare", "--mount", "sh", "-c", prepare, tree, *own, *command)
