"""The kernel's own counts of softirqs. Standard library only."""

from __future__ import annotations

from pathlib import Path

SOFTIRQS = Path("/proc/softirqs")
MOST_DIGITS = 20
"""Of 64 bits, which is more than the kernel has for a count."""


def softirqs_run() -> dict[str, int]:
    """Return softirqs run since boot by vector, in lower case, summed over CPUs.

    Empty if they cannot be read, or something else is mounted over them.
    """
    try:
        lines = SOFTIRQS.read_text(encoding="ascii", errors="replace").splitlines()[1:]
    except OSError:
        return {}
    rows = (line.partition(":") for line in lines)
    found = {name.strip().lower(): counts.split() for name, _, counts in rows}
    return {name: sum(map(int, n)) for name, n in found.items() if n and all(map(_is_count, n))}


def _is_count(text: str) -> bool:
    """Whether this may be a number of the kernel's; int() refuses those of over 4,300 digits."""
    return text.isdigit() and len(text) <= MOST_DIGITS
