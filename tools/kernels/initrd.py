"""The initial file system of one kernel: busybox, the modules that mount the root, and the rest."""

import itertools
import lzma
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.kernels.commands import Failed, run
from tools.kernels.packages import Kernel

NEEDED = ("virtio_pci", "virtio_blk", "ext4")
"""Without these a guest has no disks."""
HELPFUL = ("virtio_rng",)
"""Loaded if the kernel has them: without random numbers a guest waits for some."""

FOLDERS = ("arch", "block", "crypto", "drivers/block", "drivers/md", "fs", "lib", "mm", "net")
"""Of kernel/ in a folder of modules: what tests may load. A plain kernel's drivers are large."""

INIT = Path(__file__).parent / "inside" / "init"


def build(kernel: Kernel, busybox: Path, file: Path) -> Path:
    """Write the archive to ``file`` and return it. Raises `Failed`."""
    folder = file.with_suffix(".d")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    shutil.copy(busybox, folder / "bin/busybox")
    shutil.copy(INIT, folder / "init")
    (folder / "init").chmod(0o755)
    _write_needed(kernel.modules, folder / "needed")
    _copy_modules(kernel.modules, folder / "lib/modules" / kernel.release)
    run("sh", "-c", f"find . | cpio -o -H newc --quiet > '{file}'", cwd=folder)
    shutil.rmtree(folder)
    return file


def _write_needed(modules: Path, folder: Path) -> None:
    """Write the needed modules, uncompressed, with names in the order in which they are loaded."""
    folder.mkdir()
    for number, path in enumerate(load_order(modules)):
        (folder / f"{number:02}-{path.name.partition('.')[0]}.ko").write_bytes(uncompressed(path))


def load_order(modules: Path) -> list[Path]:
    """Return the files of what is loaded, each after what it depends on. Raises `Failed`."""
    first = dict(_dependencies(modules))
    by_name = {_module_name(path): path for path in first}
    for name, wishes in _soft_dependencies(modules):
        if name in by_name:
            first[by_name[name]] += [by_name[wish] for wish in wishes if wish in by_name]
    built_in = set(map(_module_name, (modules / "modules.builtin").read_text().split()))
    wanted = []
    for name in (*NEEDED, *HELPFUL):
        if name in by_name:
            wanted.append(by_name[name])
        elif name in NEEDED and name not in built_in:
            raise Failed(f"the kernel of {modules.name} has no module {name}")
    return [modules / path for path in _in_order(wanted, first)]


def _in_order(wanted: Sequence[str], first: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the wanted and what they need, each once, after what comes first.

    Soft dependencies may form a circle, which is entered once.
    """
    order: list[str] = []
    begun: set[str] = set()

    def add(path: str) -> None:
        if path not in begun:
            begun.add(path)
            for other in first[path]:
                add(other)
            order.append(path)

    for path in wanted:
        add(path)
    return order


def _dependencies(modules: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield what modules.dep says: a file, and the files it needs, the farthest first.

    A package need not contain modules.dep and its like, because its installation makes them.
    """
    if not (modules / "modules.dep").exists():
        run("depmod", "-b", _base(modules), modules.name)
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        yield path, needs.split()[::-1]


def _soft_dependencies(modules: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield what modules.softdep says: a module, and modules that it asks for when it is used.

    No symbol says so. ext4, for example, looks for any implementation of crc32c while it mounts,
    when nothing in the initial file system could find it one.
    """
    aliases = _aliases(modules)
    for line in (modules / "modules.softdep").read_text().splitlines():
        match line.split():
            case ["softdep", name, "pre:", *names]:
                before = itertools.takewhile(lambda word: word != "post:", names)
                yield (
                    name,
                    [found for word in before for found in aliases.get(word, [_module_name(word)])],
                )


def _aliases(modules: Path) -> dict[str, list[str]]:
    """Return the modules that go by another name: of crypto-crc32c, each that implements it.

    Names for hardware are patterns, which no module asks for.
    """
    found: dict[str, list[str]] = {}
    for line in (modules / "modules.alias").read_text().splitlines():
        match line.split():
            case ["alias", alias, name]:
                found.setdefault(alias, []).append(name)
    return found


def _base(modules: Path) -> Path:
    """Return the folder in which depmod looks for lib/modules."""
    return modules.parents[2]


def _module_name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")


def uncompressed(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix != ".ko":
        raise Failed(f"{path.name}: modules compressed like this are not supported")
    return path.read_bytes()


def _copy_modules(modules: Path, into: Path) -> None:
    into.mkdir(parents=True)
    for file in modules.glob("modules.*"):
        shutil.copy(file, into)
    for name in FOLDERS:
        if (modules / "kernel" / name).is_dir():
            shutil.copytree(modules / "kernel" / name, into / "kernel" / name)
