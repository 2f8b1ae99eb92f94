"""What several readers take from evidence; it may be of any version, and from anyone."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.values import mapping, number, rows

FIVE_CALLS = ("futex", "fsync", "openat", "read", "write")
"""Calls for which `syscall_counts` has a field: ``COUNTED`` of the section's layout.py."""
LATENCIES = {"runqlat": "Waits for a CPU", "biolatency": "Block I/O"}
"""Sections that are a distribution of latencies, each with its title."""

NEITHER_SECTION_NOR_DETAIL = {
    "preemption": "programs that the kernel preempts are not made up for",
    "reasons": "the reasons for being blocked are unknown",
}
"""What else `unavailable` may name, in words; the reason follows."""


def verdict(evidence: Mapping[str, Any]) -> str | None:
    """Return the verdict on evidence; None without any."""
    found = mapping(evidence.get("completeness")).get("verdict")
    return found if evidence.get("available") is True and isinstance(found, str) else None


def undivided_ms(wall_ms: float | None, evidence: Mapping[str, Any]) -> float | None:
    """Return how much of a command's time is in no part of its wall time; None if not known.

    That is the part of its exec before the kernel had begun it, and what passed from its end until
    that was seen.
    """
    wall = mapping(evidence.get("wall"))
    divided = number(wall.get("wall_ms"))
    if wall_ms is None or divided is None or wall.get("ended") != "exit":
        return None
    return wall_ms - divided


def has_budget(evidence: Mapping[str, Any]) -> bool:
    """Return whether wall time was divided, and none of the checks of that failed."""
    checks = [c for c in rows(evidence.get("checks")) if str(c.get("name")).startswith("wall_")]
    is_divided = mapping(evidence.get("wall")).get("available") is True
    return is_divided and all(check.get("pass") is True for check in checks)


def partial(totals: Mapping[str, Any]) -> set[str]:
    """Return the figures from /proc that are not of all processes: lower bounds."""
    named = {
        str(name)
        for row in rows(totals.get("missing"))
        if isinstance(row.get("figures"), list)
        for name in row["figures"]
    }
    return named & totals.keys()


def total_ms(section: Mapping[str, Any]) -> float | None:
    """Return the sum of a section's latencies, from their mean, which is null without any."""
    count, mean_us = number(section.get("count")), number(section.get("mean_us"))
    if count == 0:
        return 0.0
    return None if count is None or mean_us is None else count * mean_us / 1e3
