"""What /proc/diskstats counts of each disk (Documentation/admin-guide/iostats.rst)."""

import os

from agent.procfs.files import NUMBER, Counts, Unreadable, content
from agent.procfs.readings import as_json
from agent.words import Json

FILE = "/proc/diskstats"
SECTOR = 512
MS = 10**6
COLUMNS = {
    "reads": (3, 1),
    "read_bytes": (5, SECTOR),
    "read_ms": (6, MS),
    "writes": (7, 1),
    "written_bytes": (9, SECTOR),
    "write_ms": (10, MS),
    "busy_ms": (12, MS),
    "discards": (14, 1),
    "discard_ms": (17, MS),
    "flushes": (18, 1),
    "flush_ms": (19, MS),
}
"""Column and unit of each figure: discards since Linux 4.18, flushes since 5.5. A disk is busy
while it has any request."""
FEWEST_COLUMNS = 14

OF_32_BITS = frozenset(name for name, (_, unit) in COLUMNS.items() if unit == MS)
WRAP = 2**32 * MS
"""Times are printed as 32-bit numbers of ms (diskstats_show() in block/genhd.c), and start again
at 0 after 49.7 days: of one disk's requests together, or of uptime at most for ``busy_ms``."""

Disks = dict[str, Counts]
"""The figures of each disk, by ``major:minor name``; the name may be unknown."""


def read_disks() -> Disks:
    """Return the figures of each disk, without partitions.

    Raises `Unreadable`. Without /sys, partitions cannot be told from disks, and are listed too.
    """
    rows = [line.split() for line in content(FILE).splitlines()]
    if not all(map(_is_of_a_device, rows)):
        raise Unreadable(f"{FILE} holds no counts of disks: something else is mounted over it")
    return {
        f"{row[0].decode()}:{row[1].decode()} {os.fsdecode(row[2])}": {
            name: int(row[column]) * unit
            for name, (column, unit) in COLUMNS.items()
            if column < len(row)
        }
        for row in rows
        if not _is_partition(row)
    }


def _is_of_a_device(row: list[bytes]) -> bool:
    return len(row) >= FEWEST_COLUMNS and all(map(NUMBER.fullmatch, row[:2] + row[3:]))


def _is_partition(row: list[bytes]) -> bool:
    return os.path.exists(f"/sys/dev/block/{row[0].decode()}:{row[1].decode()}/partition")


def grown(before: Disks, after: Disks) -> tuple[list[Json], list[str]]:
    """Return a row of each disk that did anything, and the names of those that were replaced.

    All that a disk has done that was added meanwhile belongs to the run; a disk of which a counter
    went back is another one under the same number. A time that seems to have gone back by more than
    half of its range has wrapped; one that grows by all of its range in a run cannot be told.
    """
    rows, replaced = [], []
    for disk, now in after.items():
        then = before.get(disk, dict.fromkeys(now, 0))
        counts = {name: _growth(name, then.get(name, 0), count) for name, count in now.items()}
        device, _, name = disk.partition(" ")
        if any(count < 0 for count in counts.values()):
            replaced.append(_called(disk))
        elif any(counts.values()):
            rows.append({"device": device, "name": name or None, **as_json(counts)})
    replaced += [_called(disk) for disk in before if disk not in after]
    return rows, replaced


def _growth(name: str, then: int, now: int) -> int:
    growth = now - then
    return growth + WRAP if name in OF_32_BITS and growth < -WRAP // 2 else growth


def _called(disk: str) -> str:
    """Return a disk's name, or its device number if the name is unknown."""
    device, _, name = disk.partition(" ")
    return name or device
