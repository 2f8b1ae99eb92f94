"""Runs as they are kept, made up: what a comparison is about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from fakes.sample_evidence import evidence

from agent.store.run import FINISHED, LABELS, RUN, KeptRun


def kept(name: str, wall_ms: float | None = 100.0, **changes: Any) -> KeptRun:
    """Return a run with this id and wall time, and with evidence that nothing is wrong with."""
    whole = KeptRun(
        id=name,
        series=None,
        side=None,
        round=None,
        counts=True,
        source=RUN,
        state=FINISHED,
        labels=dict.fromkeys(LABELS, ""),
        started_at="2026-03-01T10:11:12.000Z",
        wall_ms=wall_ms,
        command={"arguments": ["./benchmark"], "exit_status": 0, "wall_ms": wall_ms},
        evidence=good_evidence(run_id=name),
    )
    return replace(whole, **changes)


def good_evidence(**changes: Any) -> dict[str, Any]:
    whole = evidence(completeness={"verdict": "complete", "reasons": []}, checks=[])
    return whole | changes


def series(name: str, times: Mapping[str, Sequence[float]], **changes: Any) -> list[KeptRun]:
    """Return the runs of a series: ``times`` has the wall times of each side, round by round."""
    return [
        kept(f"{name}-{side}-{number}", ms, series=name, side=side, round=number, **changes)
        for side, of_side in times.items()
        for number, ms in enumerate(of_side)
    ]


def pairs_document(
    baseline: Sequence[float], optimized: Sequence[float], second: int = 0, **changes: Any
) -> dict[str, Any]:
    """Return a file of `run --json`: times in ms, of both sides, round by round.

    The first run began ``second`` seconds later.
    """
    sides = {"baseline": ["./old"], "optimized": ["./new"]}
    runs = [
        run_document(side, number, ms, second + 2 * number + place, **changes)
        for number, both in enumerate(zip(baseline, optimized, strict=True))
        for place, (side, ms) in enumerate(zip(sides, both, strict=True))
    ]
    return {"series": {"commands": sides}, "sides": {}, "runs": runs}


def command_document(times: Sequence[float], second: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a file of `run --runs --json`: the first run began ``second`` seconds later."""
    runs = [run_document("command", n, ms, second + n, **changes) for n, ms in enumerate(times)]
    return {"series": {"commands": {"command": ["./benchmark"]}}, "sides": {}, "runs": runs}


def run_document(side: str, number: int, ms: float, second: int, **changes: Any) -> dict[str, Any]:
    started = f"2026-03-01T10:{second // 60:02}:{second % 60:02}.000+00:00"
    command = {"arguments": [f"./{side}"], "exit_status": 0, "wall_ms": ms}
    return {
        "side": side,
        "round": number + 1,
        "counts": True,
        "command": {**command, "user_ms": ms / 2, "system_ms": 1.0},
        "evidence": good_evidence(run_id=str(uuid4()), started_at=started, **changes),
    }
