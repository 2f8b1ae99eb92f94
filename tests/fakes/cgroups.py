"""Cgroups for tests, of both versions: they freeze their tasks, or limit what these may use."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fakes.needs import lacking
from fakes.waiting import eventually

PERIOD_US = 1_000_000


def mounted(kind: str, controller: str = "") -> Path | None:
    """Return where a hierarchy (``cgroup`` or ``cgroup2``) is mounted, the one with a controller.

    ``controller`` is for version 1, which has a hierarchy for each.
    """
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, found, options, *_ = line.split()
        if found == kind and (not controller or controller in options.split(",")):
            return Path(point)
    return None


class Group:
    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, file: str, text: object) -> None:
        (self.path / file).write_text(str(text))

    def read(self, file: str) -> str:
        return (self.path / file).read_text()

    def take(self, pid: int) -> None:
        self.write("cgroup.procs", pid)


class Freezer(Group):
    """A group of either version of the freezer."""

    @property
    def _is_v1(self) -> bool:
        return (self.path / "freezer.state").exists()

    def freeze(self) -> None:
        """Freeze the group's tasks, and return once they are frozen."""
        self._set(frozen=True)
        eventually(self._is_frozen)

    def thaw(self) -> None:
        self._set(frozen=False)

    def _set(self, *, frozen: bool) -> None:
        if self._is_v1:
            self.write("freezer.state", "FROZEN" if frozen else "THAWED")
        else:
            self.write("cgroup.freeze", int(frozen))

    def _is_frozen(self) -> bool:
        if self._is_v1:
            return self.read("freezer.state").strip() == "FROZEN"
        return "frozen 1" in self.read("cgroup.events")


class Quota(Group):
    """A group whose tasks get so many µs of CPU time in each period, which is a second."""

    def limit(self, quota_us: int, period_us: int = PERIOD_US) -> None:
        if (self.path / "cpu.cfs_quota_us").exists():
            self.write("cpu.cfs_period_us", period_us)
            self.write("cpu.cfs_quota_us", quota_us)
        else:
            self.write("cpu.max", f"{quota_us} {period_us}")

    def lift(self) -> None:
        self.limit(PERIOD_US * (os.cpu_count() or 1))


class MemoryLimit(Group):
    """A group that limits memory; its tasks cannot use swap instead."""

    def limit(self, allowed: int) -> None:
        """Allow this many bytes."""
        if (self.path / "memory.limit_in_bytes").exists():
            self.write("memory.swappiness", 0)
            self.write("memory.limit_in_bytes", allowed)
        else:
            self.write("memory.swap.max", 0)
            self.write("memory.max", allowed)

    @property
    def used(self) -> int:
        is_v1 = (self.path / "memory.usage_in_bytes").exists()
        return int(self.read("memory.usage_in_bytes" if is_v1 else "memory.current"))


class TaskLimit(Group):
    """A group that limits the number of tasks; both versions have the same files."""

    def limit_to_those_it_has(self) -> None:
        self.write("pids.max", int(self.read("pids.current")))


def member_of(group: Path) -> list[str]:
    """Return a command that runs another one in a group."""
    return ["sh", "-c", 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"', "sh", str(group)]


@contextlib.contextmanager
def limiting(controller: str, *files: str) -> Iterator[Path]:
    """Create a cgroup with a controller, which has one of these files; skip the test if it cannot.

    The files are those of the two versions.
    """
    mount = mounted("cgroup", controller) or mounted("cgroup2")
    if mount is None:
        lacking("a cgroup hierarchy")
    with made(mount) as path:
        if not any((path / file).exists() for file in files):
            lacking(f"the {controller} controller of cgroups")
        yield path


@contextlib.contextmanager
def made(mount: Path) -> Iterator[Path]:
    """Create a cgroup; at the end its remaining processes move to the root, and it is removed."""
    path = mount / f"cba-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        for pid in (path / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (mount / "cgroup.procs").write_text(pid)
        eventually(lambda: not (path / "cgroup.procs").read_text().split())
        path.rmdir()
