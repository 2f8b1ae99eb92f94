"""A folder on a disk that takes block requests, and that disk's figures in /proc/diskstats."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Columns of Documentation/admin-guide/iostats.rst: completed requests, and milliseconds.
COLUMNS = {"read": (3, 6), "write": (7, 10), "discard": (14, 17), "flush": (18, 19)}

READS = 2_000
TOLD_OF = 0.5
"""Fraction of these reads that must be reported. Adjacent reads may be merged into one request. One
interrupt also completes 32 requests, and if it interrupts process 1, some kernels run no program
(352 were missing once)."""


@dataclass
class Requests:
    count: int = 0
    ms: float = 0.0


@dataclass(frozen=True)
class Disk:
    folder: Path
    device: str
    """``major:minor`` of the whole disk that holds the folder."""

    def stats(self) -> dict[str, Requests]:
        """Return the completed requests since boot, by operation."""
        for line in Path("/proc/diskstats").read_text().splitlines():
            row = line.split()
            if f"{row[0]}:{row[1]}" == self.device:
                return {
                    name: Requests(int(row[count]), float(row[ms]))
                    for name, (count, ms) in COLUMNS.items()
                }
        raise LookupError(self.device)


def disk_for(folder: Path) -> Disk:
    """Return the folder, or another one on such a disk; skip the test if there is none."""
    candidates = [folder, Path("/var/tmp"), Path(__file__).parent]
    for candidate in candidates:
        device = whole_disk(candidate)
        if device:
            return Disk(candidate, device)
    pytest.skip(f"none of {candidates} is on a disk that takes requests")


def whole_disk(folder: Path) -> str | None:
    """Return a folder's disk, or None if that takes no requests (tmpfs, device mapper)."""
    number = folder.stat().st_dev
    node = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not node.exists():
        return None
    node = node.resolve()
    if (node / "partition").exists():
        node = node.parent
    return (node / "dev").read_text().strip() if (node / "mq").exists() else None


def read_at_once(fio: str, folder: Path) -> None:
    """Make ``READS`` direct reads of 4 KiB, 32 in flight at a time."""
    where = f"--directory={folder}"
    size = (f"--size={4 * READS}k", "--bs=4k", "--rw=randread", "--direct=1", "--unlink=1")
    depth = ("--ioengine=libaio", "--iodepth=32", "--iodepth_batch=32")
    command = [fio, "--name=reads", where, *size, *depth]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def interrupted_cpu(work: Callable[[], object]) -> int:
    """Return the CPU that took the interrupts for the disk I/O that ``work`` caused."""
    before = interrupts()
    work()
    grown = {where: now - before.get(where, 0) for where, now in interrupts().items()}
    _, cpu = max(grown, key=lambda where: grown[where])
    return cpu


def interrupts() -> dict[tuple[str, int], int]:
    """Return the number of interrupts since boot, by device and CPU."""
    header, *rows = Path("/proc/interrupts").read_text().splitlines()
    cpus = [int(name.removeprefix("CPU")) for name in header.split()]
    return {
        (name, cpu): int(count)
        for name, *counts in map(str.split, rows)
        # other rows are not device interrupts, and the last of them have a single count
        if name.removesuffix(":").isdigit()
        for cpu, count in zip(cpus, counts, strict=False)
    }


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Pin this process and those that it starts to one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
