"""The kernel's own figures of each disk. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

DISKSTATS = Path("/proc/diskstats")
SYSFS = Path("/sys/dev/block")
BLOCK = Path("/sys/block")
COLUMNS = {"read": 3, "write": 7, "discard": 14, "flush": 18}
"""Columns of completed requests (Documentation/admin-guide/iostats.rst): discards since 4.18,
flushes since 5.5."""
IN_PROGRESS = 11
FIELDS = 20
MAX_DISKS = 512
"""Each disk takes about 200 bytes of the supervisor's answer (channel.MAX_MESSAGE)."""

REGISTRATION = "registration"
TAKES_BIOS = "takes_bios"


def has_disks_without_requests() -> bool:
    """Return whether there is a disk, of any size but 0, whose driver takes bios instead."""
    try:
        nodes = [node for node in BLOCK.iterdir() if not (node / "mq").exists()]
    except OSError:
        return False
    return any(_sectors(node) for node in nodes)


def disk_figures() -> dict[str, int]:
    """Return the figures of at most 512 disks, by ``figure_major:minor``.

    For each disk: completed ``read``, ``write``, ``discard`` and ``flush`` since it was added;
    ``in_flight_read`` and ``in_flight_write`` if the driver has requests; ``registration``, a
    number that differs if the disk was removed and another one was added under its number;
    ``takes_bios`` (1) if it has no requests. What cannot be read is left out.

    Both processes call this at both edges of each run, so paths are text: with objects of pathlib
    it takes a third longer.
    """
    try:
        lines = DISKSTATS.read_text().splitlines()
    except OSError:
        return {}
    rows = (row for row in map(str.split, lines) if len(row) >= FIELDS)
    figures: dict[str, int] = {}
    disks = 0
    for row in rows:
        device = f"{row[0]}:{row[1]}"
        node = f"{SYSFS}/{device}"
        if os.path.exists(f"{node}/partition"):
            continue
        figures.update({f"{name}_{device}": int(row[column]) for name, column in COLUMNS.items()})
        figures.update({f"{name}_{device}": value for name, value in _registered(node).items()})
        if row[IN_PROGRESS] != "0":
            figures.update({f"{name}_{device}": value for name, value in _in_flight(node).items()})
        disks += 1
        if disks == MAX_DISKS:
            break
    return figures


def _registered(node: str) -> dict[str, int]:
    """Return what identifies the disk: kernfs gives the folder of each new device a new number."""
    try:
        found = {REGISTRATION: os.stat(node).st_ino}
    except OSError:
        return {}
    return found if os.path.exists(f"{node}/mq") else {**found, TAKES_BIOS: 1}


def _sectors(node: Path) -> int:
    try:
        return int((node / "size").read_text())
    except OSError:
        return 0


def _in_flight(node: str) -> dict[str, int]:
    """Return the reads and writes that the driver has (Documentation/ABI/stable/sysfs-block)."""
    try:
        with open(f"{node}/inflight", encoding="utf-8") as file:
            reads, writes = file.read().split()
    except OSError:
        return {}
    return {"in_flight_read": int(reads), "in_flight_write": int(writes)}
