"""Conversion of a cgroup v2 path to the kernel's id for it."""

import os
from pathlib import Path

from agent.errors import ScopeError


def cgroup_id(path: str) -> int:
    """Return the id of a cgroup, given its path from the v2 root or from below the mount point.

    The id is the inode number of its directory (kernfs). Raises ScopeError.
    """
    mount = _mount_point()
    if mount is None:
        raise ScopeError(
            "no cgroup v2 hierarchy is mounted; give the scope as a pid instead",
            code="no_cgroup_v2",
        )
    below = path.removeprefix(str(mount)) if Path(path).is_relative_to(mount) else path
    directory = Path(os.path.normpath(f"{mount}/{below}"))
    if not directory.is_relative_to(mount) or not (directory / "cgroup.procs").exists():
        raise ScopeError(f"no cgroup {path} below {mount}", code="no_such_cgroup")
    return directory.stat().st_ino


def _mount_point() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    return None
