"""Runs as they are kept, made up: all of them is known."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from fakes.sample_evidence import evidence

from agent.comparison.kept import Asked, compare_groups
from agent.store.run import FINISHED, RUN, KeptRun

BEGAN = datetime(2026, 11, 26, 10, tzinfo=UTC)
QUIET = (0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.15, -0.25, 0.05, -0.05)


def noise(number: int) -> float:
    """Return something near 0 that has no trend."""
    return QUIET[number % len(QUIET)]


def kept(number: int, ms: float | None = 100.0, *, at: float | None = None, **changes: Any) -> Any:
    """Return a run that began ``at`` seconds (or as the ``number``-th, second by second)."""
    whole = changes.pop("evidence", None) or evidence()
    labels = {"machine": "bench-1", **changes.pop("labels", {})}
    command = {"arguments": ["prog"], "wall_ms": ms, "exit_status": 0, "user_ms": 1.0}
    began = BEGAN + timedelta(seconds=number if at is None else at)
    fields = {
        "id": f"run-{number}",
        "series": None,
        "side": None,
        "round": None,
        "counts": True,
        "source": RUN,
        "state": FINISHED,
        "labels": labels,
        "started_at": began.isoformat(timespec="milliseconds"),
        "wall_ms": ms,
        "command": command if ms is not None else {},
        "evidence": whole,
        **changes,
    }
    return KeptRun(**fields)


def group(*wall_ms: float, first: int = 0, step: int = 1, **changes: Any) -> list[Any]:
    """Return one run for each time; the first is the ``first`` of all, each ``step`` later."""
    return [kept(first + step * n, ms, **changes) for n, ms in enumerate(wall_ms)]


def in_turn(before: list[float], after: list[float], **changes: Any) -> tuple[list[Any], list[Any]]:
    """Return the two sides of one series, round by round."""
    first, second = (
        [
            kept(2 * n + place, ms, series="series-1", side=side, round=n, **changes)
            for n, ms in enumerate(values)
        ]
        for place, (side, values) in enumerate((("baseline", before), ("optimized", after)))
    )
    return first, second


def times(mean: float, size: int = 10, trend: float = 0.0, shifted: int = 0) -> list[float]:
    return [mean + noise(n + shifted) + trend * n for n in range(size)]


def compared(before: Any, after: Any, **asked: Any) -> dict[str, Any]:
    """Return what the comparison of two groups finds; all of it is JSON."""
    document = compare_groups(before, after, Asked(**asked))
    json.dumps(document, allow_nan=False)
    return document


def blocks(before: list[float], after: list[float], **changes: Any) -> tuple[Any, Any]:
    """Return two groups, one of which was run after the other."""
    return group(*before, **changes), group(*after, first=len(before), **changes)
