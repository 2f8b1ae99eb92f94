"""The kernel's own figures of each disk. Standard library only."""

import os
from enum import Enum, auto
from pathlib import Path
from typing import Optional

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


_kinds: dict[str, tuple[int, Kind]] = {}
"""By folder of a device, the number of that folder and its kind, once that is final: a disk that
has just been added shows later that it takes requests."""


def has_disks_without_requests() -> bool:
    """Return whether there is a disk, of any size but 0, whose driver takes bios instead."""
    try:
        nodes = [f"{BLOCK}/{name}" for name in os.listdir(BLOCK)]
    except OSError:
        return False
    return any(_sectors(node) for node in nodes if not os.path.exists(f"{node}/mq"))


def disk_figures() -> dict[str, int]:
    """Return the figures of at most 512 disks, by ``figure_major:minor``.

    For each disk: completed ``read``, ``write``, ``discard`` and ``flush`` since it was added;
    ``in_flight_read`` and ``in_flight_write`` if the driver has requests; ``registration``, a
    number that differs if the disk was removed and another one was added under its number;
    ``takes_bios`` (1) if it has no requests. What cannot be read is left out.

    Both processes call this at both edges of each run, so paths are text here and above: with
    objects of pathlib it takes a third longer.
    """
    try:
        lines = DISKSTATS.read_bytes().splitlines()
    except OSError:
        return {}
    rows = (row for row in map(bytes.split, lines) if _has_figures(row))
    figures: dict[str, int] = {}
    disks = 0
    for row in rows:
        device = f"{int(row[0])}:{int(row[1])}"
        node = f"{SYSFS}/{device}"
        found = _registered(node)
        if found is None:
            continue
        found.update({name: int(row[column]) for name, column in COLUMNS.items()})
        if row[IN_PROGRESS] != b"0":
            found.update(_in_flight(node))
        figures.update({f"{name}_{device}": value for name, value in found.items()})
        disks += 1
        if disks == MAX_DISKS:
            break
    return figures


def _has_figures(row: list[bytes]) -> bool:
    """Whether this is a disk's row: all but its name are numbers.

    Something else may be mounted over the file.
    """
    return len(row) >= FIELDS and b"".join(row[:NAME] + row[NAME + 1 : FIELDS]).isdigit()


def _registered(node: str) -> Optional[dict[str, int]]:
    """Return what identifies the disk, and whether it takes bios; None for a partition.

    kernfs gives the folder of each new device a new number.
    """
    try:
        number = os.stat(node).st_ino
    except OSError:
        return {}
    kind = _kind(node, number)
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
        with open(f"{node}/size", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _in_flight(node: str) -> dict[str, int]:
    """Return the reads and writes that the driver has (Documentation/ABI/stable/sysfs-block)."""
    try:
        with open(f"{node}/inflight", "rb") as file:
            reads, writes = map(int, file.read().split())
    except (OSError, ValueError):
        return {}
    return {"in_flight_read": reads, "in_flight_write": writes}
