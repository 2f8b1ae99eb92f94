"""A folder on a disk that takes requests, and what /proc/diskstats says of that disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Columns of Documentation/admin-guide/iostats.rst: completed requests, and milliseconds.
COLUMNS = {"read": (3, 6), "write": (7, 10), "discard": (14, 17), "flush": (18, 19)}


@dataclass
class Requests:
    count: int = 0
    ms: float = 0.0


@dataclass(frozen=True)
class Disk:
    folder: Path
    device: str
    """major:minor of the whole disk that the folder is on."""

    def stats(self) -> dict[str, Requests]:
        """Since boot, by operation."""
        for line in Path("/proc/diskstats").read_text().splitlines():
            row = line.split()
            if f"{row[0]}:{row[1]}" == self.device:
                return {
                    name: Requests(int(row[count]), float(row[ms]))
                    for name, (count, ms) in COLUMNS.items()
                }
        raise LookupError(self.device)


def disk_for(folder: Path) -> Disk:
    """The folder, or another one where it has no such disk; skips where there is none."""
    candidates = [folder, Path("/var/tmp"), Path(__file__).parent]
    for candidate in candidates:
        device = whole_disk(candidate)
        if device:
            return Disk(candidate, device)
    pytest.skip(f"none of {candidates} is on a disk that takes requests")


def whole_disk(folder: Path) -> str | None:
    """The disk below a folder, if it takes requests: a tmpfs or a device mapper has none."""
    number = folder.stat().st_dev
    node = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not node.exists():
        return None
    node = node.resolve()
    if (node / "partition").exists():
        node = node.parent
    return (node / "dev").read_text().strip() if (node / "mq").exists() else None


def interrupted_cpu(work: Callable[[], object]) -> int:
    """The CPU that took the interrupts of what ``work`` had a disk do."""
    before = interrupts()
    work()
    grown = {where: now - before.get(where, 0) for where, now in interrupts().items()}
    _, cpu = max(grown, key=lambda where: grown[where])
    return cpu


def interrupts() -> dict[tuple[str, int], int]:
    """How many came from each device to each CPU since boot."""
    header, *rows = Path("/proc/interrupts").read_text().splitlines()
    cpus = [int(name.removeprefix("CPU")) for name in header.split()]
    return {
        (name, cpu): int(count)
        for name, *counts in map(str.split, rows)
        # the others are not of devices, and the last of them have one count only
        if name.removesuffix(":").isdigit()
        for cpu, count in zip(cpus, counts, strict=False)
    }


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """This process and those it starts run on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
