"""Why requests that completed are not in the histograms: one reason for each of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from agent.sections.biolatency.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_BY_UNKNOWN,
    BLOCK_EMPTY,
    BLOCK_ERROR,
    BLOCK_IN_FLIGHT,
    BLOCK_STACKED,
    BLOCK_UNTIMED,
)
from agent.sections.biolatency.requests_table import BlockTable, table_only
from agent.words import Json

UNTIMED = ("issued_before", "untimed")
"""Reasons for which there is no device time either."""
REASONS = {
    "issued_before": BLOCK_IN_FLIGHT | BLOCK_BY_UNKNOWN,
    "failed": BLOCK_ERROR,
    "untimed": BLOCK_UNTIMED,
    "kernel_threads": BLOCK_BY_KERNEL,
    "stacked": BLOCK_STACKED,
    "without_data": BLOCK_EMPTY,
}
"""Of several that apply to a request, the first counts."""
OTHER_TASKS = "other_tasks"
FOLDED = "folded"


class LeftOut(NamedTuple):
    """Requests that are left out for one reason."""

    requests: int
    device_ns: int | None = None
    """Their device time, summed; None if it is not known."""


def left_out(
    table: BlockTable, scoped: bool, excluded: int, folded: int
) -> Iterator[tuple[str, LeftOut]]:
    """Yield each reason with the requests it applies to, if there are any.

    ``excluded``: requests of tasks out of scope; ``folded``: those folded in the kernel without a
    latency, of which only the number is known.
    """
    counts: defaultdict[str, int] = defaultdict(int)
    device_ns: defaultdict[str, int] = defaultdict(int)
    for (_, kind), row in table.rows.items():
        if applying := kind & table_only(scoped):
            reason = next(name for name, flags in REASONS.items() if applying & flags)
            counts[reason] += row.count
            device_ns[reason] += row.device_ns
    for reason, count in counts.items():
        yield reason, LeftOut(count, None if reason in UNTIMED else device_ns[reason])
    if excluded:
        yield OTHER_TASKS, LeftOut(excluded)
    if folded:
        yield FOLDED, LeftOut(folded)


def evidence(reasons: Mapping[str, LeftOut]) -> list[Json]:
    """Return a row for each reason, the most frequent first; times in ms."""
    return [
        {
            "reason": reason,
            "count": found.requests,
            "device_ms": None if found.device_ns is None else found.device_ns / 1e6,
        }
        for reason, found in sorted(reasons.items(), key=lambda item: -item[1].requests)
    ]
