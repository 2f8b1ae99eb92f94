"""Cgroup v2 paths, and the kernel's ids for them: the inode numbers of directories (kernfs)."""

import os
from pathlib import Path

from agent.errors import ScopeError
from agent.model import OF_A_PROCESS
from agent.streams.shared.control_groups import Groups
from agent.streams.shared.foreign_names import lines, unescaped
from agent.streams.shared.layout import CGROUP_CHAIN

LONGEST_QUOTED = 256


def chain(path: str) -> tuple[int, ...]:
    """Return the ids of the cgroups from the root down to a path; the last is the path's own.

    ``path``: from the v2 root, or with its mount point. Of a path with more parts than
    CGROUP_CHAIN, the last ones. Raises ScopeError.
    """
    mount, directory = _found(path)
    above = [folder for folder in directory.parents if folder.is_relative_to(mount)]
    folders = [*reversed(above), directory][-CGROUP_CHAIN:]
    try:
        return tuple(folder.stat().st_ino for folder in folders)
    except OSError as error:
        raise _missing(path, mount) from error


def directory(path: str) -> Path:
    """Return the folder of the cgroup at a path, given as for `chain`. Raises ScopeError."""
    return _found(path)[1]


def groups_at(path: str) -> Groups:
    """Return the cgroup at a path and those above it; without directories if there is none."""
    try:
        mount, directory = _found(path)
    except ScopeError:
        return Groups(2, path, ())
    above = [folder for folder in directory.parents if folder.is_relative_to(mount)]
    return Groups(2, str("/" / directory.relative_to(mount)), (directory, *above))


def id_at(path: str) -> int | None:
    """Return the id of the cgroup at a path; None if there is none."""
    try:
        return chain(path)[-1]
    except ScopeError:
        return None


def has_strangers(path: str) -> bool:
    """Whether threads of a cgroup, or of one below it, are outside our pid namespace.

    The kernel lists those as 0 (cgroup_procs_show()). False if the cgroup is gone.
    """
    try:
        _, directory = _found(path)
    except ScopeError:
        return False
    return any("0" in _threads(Path(folder)) for folder, _, _ in os.walk(directory))


def _threads(directory: Path) -> list[str]:
    try:
        return (directory / "cgroup.threads").read_text().split()
    except OSError:
        return []  # gone meanwhile; its tasks are


def _found(path: str) -> tuple[Path, Path]:
    """Return the mount point and the cgroup's directory. Raises ScopeError."""
    mount = _mount_point()
    if mount is None:
        raise ScopeError(
            "no cgroup v2 hierarchy is mounted; give the scope as a pid instead",
            code="no_cgroup_v2",
        )
    below = path.removeprefix(str(mount)) if Path(path).is_relative_to(mount) else path
    directory = Path(os.path.normpath(f"{mount}/{below}"))
    if not directory.is_relative_to(mount) or not _is_cgroup(directory):
        raise _missing(path, mount)
    return mount, directory


def _is_cgroup(directory: Path) -> bool:
    try:
        return (directory / "cgroup.procs").exists()
    except OSError:  # a name is longer than any can be
        return False


def _missing(path: str, mount: Path) -> ScopeError:
    text = f"there is no cgroup {_shortened(path)} below {mount}; {OF_A_PROCESS}"
    return ScopeError(text, code="no_such_cgroup")


def _shortened(path: str) -> str:
    return path if len(path) <= LONGEST_QUOTED else f"{path[:LONGEST_QUOTED]}…"


def _mount_point() -> Path | None:
    for line in lines(Path("/proc/self/mounts")):
        fields = line.split(" ")  # what is mounted may have other white space in its name
        if fields[2:3] == ["cgroup2"]:  # another file may be mounted over this one
            return Path(unescaped(fields[1]))
    return None
