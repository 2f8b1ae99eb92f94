"""Control groups of either version: a process's groups, and the limits set to this process.

Standard library only, Python 3.9. Which groups those are is read from /proc/self/cgroup
(cgroups(7)), and where they are mounted from /proc/self/mountinfo. A group above a container's own
is not visible in the container; its limit applies nevertheless.
"""

import re
from pathlib import Path
from typing import NamedTuple, Optional

from agent.streams.shared.foreign_names import lines, unescaped

CGROUPS = Path("/proc/self/cgroup")
MOUNTS = Path("/proc/self/mountinfo")
VMSTAT = Path("/proc/vmstat")
COUNT = re.compile(r"\d{1,20}", re.ASCII)


class Files(NamedTuple):
    """Names of a controller's files: its limit and its use."""

    limit: str
    usage: str


LIMITS = {
    "memory": (
        Files("memory.max", "memory.current"),
        Files("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ),
    "pids": (Files("pids.max", "pids.current"),),
}
"""By controller: version 2, then version 1 where its names differ."""

OOM_KILLS = ("memory.events", "memory.oom_control")
"""Files with a line ``oom_kill N`` (version 1: since 4.13)."""


class Limit(NamedTuple):
    """What one group allows, and what it uses of that: bytes or tasks."""

    file: Path
    allowed: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.allowed - self.used)


def limits(controller: str) -> list[Limit]:
    """Return the limits that apply to this process, as far as they can be read."""
    own = groups(controller).directories
    found = (_limit(group, files) for group in own for files in LIMITS[controller])
    return [limit for limit in found if limit is not None]


def oom_kills() -> int:
    """Return how many tasks the OOM killer has killed so far in this process's groups.

    Without memory groups: on the whole machine. 0 where the kernel does not count them.
    """
    own = groups("memory").directories
    counts = [_oom_kills(group / name) for group in own for name in OOM_KILLS]
    known = [count for count in counts if count is not None]
    return sum(known) if known else _oom_kills(VMSTAT) or 0


def _limit(group: Path, files: Files) -> Optional[Limit]:
    allowed, used = _number(group / files.limit), _number(group / files.usage)
    return None if allowed is None or used is None else Limit(group / files.limit, allowed, used)


def _number(path: Path) -> Optional[int]:
    """Return the number in a file; None if there is no file, or it says ``max``."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _oom_kills(path: Path) -> Optional[int]:
    for line in lines(path):
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count) if COUNT.fullmatch(count) else None
    return None


class Groups(NamedTuple):
    """A process's group of a controller and those above it, the innermost first."""

    version: int
    """Of the hierarchy that has the controller; 0 if the process's group is not known."""
    path: str
    """The group's, from the root of the hierarchy as this process sees it."""
    directories: tuple[Path, ...]
    """As far as mounted here; none if not even the process's own group is."""


def groups(controller: str, cgroups: Optional[Path] = None) -> Groups:
    """Return the groups of the process whose file in /proc/PID this is, or of our own."""
    group = _own_group(controller, cgroups or CGROUPS)
    if group is None:
        return Groups(0, "", ())
    for mount in lines(MOUNTS):
        fields, _, kind = (part.split(" ") for part in mount.partition(" - "))
        if len(fields) < 5 or len(kind) < 3:  # something else is mounted over the file
            continue
        if not _is_of(kind, controller if group.version == 1 else ""):
            continue
        root, point = unescaped(fields[3]), Path(unescaped(fields[4]))
        below = _below(group.path, root)
        if below is not None:
            directory = point / below
            above = [p for p in directory.parents if p == point or point in p.parents]
            return Groups(*group, (directory, *above))
    return Groups(*group, ())


class _Group(NamedTuple):
    version: int
    path: str
    """From the root of its hierarchy, or of our cgroup namespace."""


def _own_group(controller: str, cgroups: Path) -> Optional[_Group]:
    """Return a process's group; that of version 2 where version 1 has no such controller."""
    found = None
    for row in (line.split(":", 2) for line in lines(cgroups)):
        if len(row) < 3:  # something else is mounted over the file
            continue
        number, controllers, path = row
        if controller in controllers.split(","):
            return _Group(1, path)
        if number == "0":
            found = _Group(2, path)
    return found


def _is_of(kind: list[str], controller: str) -> bool:
    """Whether a mount's type, source and options are those of a hierarchy."""
    if controller:
        return kind[0] == "cgroup" and controller in kind[2].split(",")
    return kind[0] == "cgroup2"


def _below(path: str, root: str) -> Optional[str]:
    """Return a group's path relative to the root of a mount; None if it is not below it."""
    if root != "/" and path != root and not path.startswith(f"{root}/"):
        return None
    below = path[len(root) :] if root != "/" else path
    return None if ".." in below.split("/") else below.strip("/")
