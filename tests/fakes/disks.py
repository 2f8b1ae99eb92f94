"""A folder on a disk that takes requests, and what /proc/diskstats says of that disk."""

import os
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
