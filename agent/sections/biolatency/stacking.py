"""What a disk lies on: the disks that carry out its requests."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent.streams.shared.foreign_names import lines, unescaped

IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
"""File systems with no disk below them."""
DELETED = " (deleted)"

Below = tuple[str, ...] | None
"""Disks by ``major:minor``; empty if there is none below, None if the kernel does not say."""


class Mount(NamedTuple):
    point: str
    device: str
    """``major:minor``; the major number is 0 if the file system is not on one disk."""
    kind: str


class Stacking:
    """Looks up what lies below a disk, and remembers the answer for the run.

    The kernel lists a disk's components (dm, md, bcache: ``slaves``), but of a loop device only its
    file. The file's disk is that of its mount, as seen by this process. For a file system that is
    not on one disk (btrfs, overlay, network) the kernel does not say where the file is.
    """

    def __init__(
        self,
        sysfs: Path = Path("/sys/dev/block"),
        mounts: Path = Path("/proc/self/mountinfo"),
    ) -> None:
        self._sysfs = sysfs
        self._mounts = mounts
        self._known: dict[str, Below] = {}

    def below(self, device: str) -> Below:
        """Return the disks that the disk ``major:minor`` lies on."""
        if device not in self._known:
            self._known[device] = self._look_up(self._sysfs / device)
        return self._known[device]

    def _look_up(self, node: Path) -> Below:
        try:
            components = sorted(node.joinpath("slaves").iterdir())
        except OSError:
            return ()  # removed already, or no sysfs
        try:
            if components:
                disks = {self._whole_disk(_number(c)) for c in components}
                return tuple(sorted(disks))
            file = os.fsdecode((node / "loop" / "backing_file").read_bytes())
        except OSError:
            return ()
        return self._below_file(file.rstrip("\n").removesuffix(DELETED))

    def _below_file(self, file: str) -> Below:
        mount = self._mount_of(file)
        if mount is None:
            return None
        if mount.kind in IN_MEMORY:
            return self._below_node(file)
        return None if mount.device.startswith("0:") else (self._whole_disk(mount.device),)

    def _below_node(self, file: str) -> Below:
        """Return what is below a file in memory, which may be a block device's node."""
        try:
            status = os.stat(file)
        except OSError:
            return None
        if not stat.S_ISBLK(status.st_mode):
            return ()
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        return (self._whole_disk(number),)

    def _mount_of(self, file: str) -> Mount | None:
        """Return the mount that a path leads to: the longest one, and of equals the last."""
        found = None
        for mount in self._listed():
            inside = file.startswith(mount.point.rstrip("/") + "/")
            if inside and (found is None or len(mount.point) >= len(found.point)):
                found = mount
        return found

    def _listed(self) -> Iterator[Mount]:
        """Yield this process's mounts (Documentation/filesystems/proc.rst, 3.5)."""
        for line in lines(self._mounts):
            fields, _, source = line.partition(" - ")
            row = fields.split(" ")
            if len(row) > 4:  # something else may be mounted over the file
                yield Mount(unescaped(row[4]), row[2], source.split(" ")[0])

    def _whole_disk(self, device: str) -> str:
        """Return the disk that a partition is on, or the disk itself."""
        node = self._sysfs / device
        try:
            if (node / "partition").exists():
                return _number(node.resolve().parent)
        except OSError:
            pass
        return device


def _number(node: Path) -> str:
    """Return a device's ``major:minor``. Raises OSError."""
    return (node / "dev").read_text(encoding="ascii", errors="replace").strip()
