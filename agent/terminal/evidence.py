"""What several readers take from evidence; it may be of any version, and from anyone."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.values import mapping, number, rows


def verdict(evidence: Mapping[str, Any]) -> str | None:
    """Return the verdict on evidence; None without any."""
    found = mapping(evidence.get("completeness")).get("verdict")
    return found if evidence.get("available") is True and isinstance(found, str) else None


def has_budget(evidence: Mapping[str, Any]) -> bool:
    """Return whether wall time was divided, and none of the checks of that failed."""
    checks = [c for c in rows(evidence.get("checks")) if str(c.get("name")).startswith("wall_")]
    is_divided = mapping(evidence.get("wall")).get("available") is True
    return is_divided and all(check.get("pass") is True for check in checks)


def total_ms(section: Mapping[str, Any]) -> float | None:
    """Return the sum of a section's latencies, from their mean, which is null without any."""
    count, mean_us = number(section.get("count")), number(section.get("mean_us"))
    if count == 0:
        return 0.0
    return None if count is None or mean_us is None else count * mean_us / 1e3
