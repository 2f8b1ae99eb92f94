"""What evidence says of block I/O."""

from typing import Any

from agent.words import Json

NEARLY_ALL = 0.98
"""Fraction of the I/O that must be seen. Some kernels run no program while certain tasks run."""


def rows(evidence: Json, device: str, **wanted: Any) -> list[Json]:
    return [
        row
        for row in evidence["biolatency"]["by_operation"]
        if row["device"] == device and wanted.items() <= row.items()
    ]


def total(found: list[Json]) -> int:
    return sum(row["count"] for row in found)


def device_row(evidence: Json, device: str) -> Json:
    (row,) = (d for d in evidence["biolatency"]["devices"] if d["device"] == device)
    assert isinstance(row, dict)
    return row


def unseen_at_most(evidence: Json) -> int:
    """Return how many completions of requests went unseen, by the kernel's count of all disks.

    Nothing in a run with a scope reports such a miss (docs/explanation/error-bounds.md).
    """
    disks = [row for row in evidence["biolatency"]["devices"] if row["measured_by"] == "requests"]
    kernel = sum(count or 0 for row in disks for count in row["in_diskstats"].values())
    counts = evidence["completeness"]["streams"]["biolatency"]
    return max(kernel - int(counts["received"]) - int(counts["excluded"]), 0)


def left_out(evidence: Json) -> dict[str, int]:
    """Return the requests that are not in the histogram, by reason.

    With those in the histogram they are all requests that the programs saw complete.
    """
    found = {row["reason"]: row["count"] for row in evidence["biolatency"]["not_in_histogram"]}
    streams = evidence["completeness"]["streams"]
    ours = [streams[name] for name in ("biolatency", "bios") if name in streams]
    completed = sum(counts["received"] + counts["excluded"] for counts in ours)
    assert evidence["biolatency"]["count"] + sum(found.values()) == completed
    return found
