"""The kernel's own figures of each disk. Standard library only."""

import os
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, Optional

from agent import small_files

DISKSTATS = Path("/proc/diskstats")
SYSFS = Path("/sys/dev/block")
BLOCK = Path("/sys/block")
COLUMNS = {"read": 3, "write": 7, "discard": 14, "flush": 18}
"""Columns of completed requests (Documentation/admin-guide/iostats.rst): discards since 4.18,
flushes since 5.5."""
NAME = 2
IN_PROGRESS = 11
FIELDS = 20
MAX_DISKS = 512
"""Each disk takes about 200 bytes of the supervisor's answer (channel.MAX_MESSAGE)."""

REGISTRATION = "registration"
TAKES_BIOS = "takes_bios"


class Kind(Enum):
    """What a block device is."""

    PARTITION = auto()
    TAKES_REQUESTS = auto()
    TAKES_BIOS = auto()
    """Its driver has no requests."""


class _Row(NamedTuple):
    """A line of the file."""

    device: str
    completed: dict[str, int]
    """By ``figure_major:minor``."""
    is_busy: bool
    """Whether it has I/O in progress."""


_rows: dict[bytes, Optional[_Row]] = {}
"""The lines as they were last read; None for what is no row of a disk."""

_kinds: dict[str, tuple[int, Kind]] = {}
"""By folder of a device, the number of its entry and its kind, once that is final: a disk that has
just been added shows later that it takes requests."""


def has_disks_without_requests() -> bool:
    """Return whether there is a disk, of any size but 0, whose driver takes bios instead."""
    nodes = {f"{BLOCK}/{name}": number for name, number in _numbers(BLOCK).items()}
    return any(
        _sectors(node) for node, number in nodes.items() if _kind(node, number) is Kind.TAKES_BIOS
    )


def disk_figures() -> dict[str, int]:
    """Return the figures of at most 512 disks, by ``figure_major:minor``.

    For each disk: completed ``read``, ``write``, ``discard`` and ``flush`` since it was added;
    ``in_flight_read`` and ``in_flight_write`` if the driver has requests; ``registration``, a
    number that differs if the disk was removed and another one was added under its number;
    ``takes_bios`` (1) if it has no requests. What cannot be read is left out.

    This is read four times in a run, and most disks have done nothing in between, so a row that has
    not changed is not parsed again. Paths are text: with objects of pathlib it takes longer.
    """
    global _rows
    try:
        lines = small_files.read(str(DISKSTATS)).splitlines()
    except OSError:
        return {}
    _rows = {line: _rows.get(line) or _parsed(line) for line in lines}
    figures: dict[str, int] = {}
    disks, numbers = 0, _numbers(SYSFS)
    for row in filter(None, _rows.values()):
        found = _registered(row.device, numbers.get(row.device))
        if found is None:
            continue
        if row.is_busy:
            found.update(_in_flight(row.device))
        figures.update(row.completed)
        figures.update({f"{name}_{row.device}": value for name, value in found.items()})
        disks += 1
        if disks == MAX_DISKS:
            break
    return figures


def _parsed(line: bytes) -> Optional[_Row]:
    """Return a disk's row, of which all but the name are numbers; None of anything else.

    Something else may be mounted over the file.
    """
    row = line.split()
    numbers = row[:NAME] + row[NAME + 1 : FIELDS]
    if len(row) < FIELDS or not all(number.isdigit() and len(number) <= 20 for number in numbers):
        return None
    device = f"{int(row[0])}:{int(row[1])}"
    completed = {f"{name}_{device}": int(row[column]) for name, column in COLUMNS.items()}
    return _Row(device, completed, row[IN_PROGRESS] != b"0")


def _numbers(folder: Path) -> dict[str, int]:
    """Return the number that each block device's entry in a folder has (kernfs: each a new one)."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.inode() for entry in entries}
    except OSError:
        return {}


def _registered(device: str, number: Optional[int]) -> Optional[dict[str, int]]:
    """Return what identifies the disk, and whether it takes bios; None for a partition."""
    if number is None:
        return {}
    kind = _kind(f"{SYSFS}/{device}", number)
    if kind is Kind.PARTITION:
        return None
    found = {REGISTRATION: number}
    return {**found, TAKES_BIOS: 1} if kind is Kind.TAKES_BIOS else found


def _kind(node: str, number: int) -> Kind:
    known, kind = _kinds.get(node, (0, Kind.TAKES_BIOS))
    if known == number:
        return kind
    if os.path.exists(f"{node}/partition"):
        kind = Kind.PARTITION
    elif os.path.exists(f"{node}/mq"):
        kind = Kind.TAKES_REQUESTS
    else:
        return Kind.TAKES_BIOS
    _kinds[node] = number, kind
    return kind


def _sectors(node: str) -> int:
    try:
        return int(small_files.read(f"{node}/size"))
    except (OSError, ValueError):
        return 0


def _in_flight(device: str) -> dict[str, int]:
    """Return the reads and writes that the driver has (Documentation/ABI/stable/sysfs-block)."""
    try:
        reads, writes = map(int, small_files.read(f"{SYSFS}/{device}/inflight").split())
    except (OSError, ValueError):
        return {}
    return {"in_flight_read": reads, "in_flight_write": writes}
