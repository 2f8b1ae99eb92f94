"""The kernel's own counts of softirqs. Standard library only."""

from __future__ import annotations

from pathlib import Path

SOFTIRQS = Path("/proc/softirqs")


def softirqs_run() -> dict[str, int]:
    """Return softirqs run since boot by vector, in lower case, summed over CPUs.

    Empty if they cannot be read.
    """
    try:
        lines = SOFTIRQS.read_text().splitlines()[1:]
    except OSError:
        return {}
    rows = (line.partition(":") for line in lines)
    return {name.strip().lower(): sum(map(int, counts.split())) for name, _, counts in rows}
