"""Both sides' evidence in the shape that report builders of the original agent read.

That agent measured one run of each side, so one run of each is shown here: numbers that were
measured together, rather than sums and medians that no run had. It is the run in the middle, by its
wall time. Their pages pair the bars of both histograms by index, so both have the same buckets, the
empty ones included; and they expect numbers, so what is null is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.terminal.charts import with_gaps
from agent.terminal.evidence import FIVE_CALLS, LATENCIES
from agent.terminal.values import mapping, number, rows
from agent.words import Json


class Measured(NamedTuple):
    """A run as far as this needs it: its id, its wall time (if known), its evidence."""

    id: str
    wall_ms: float | None
    evidence: Mapping[str, Any]


def original_evidence(baseline: Sequence[Measured], optimized: Sequence[Measured]) -> Json:
    """Return the evidence of the middle run of each side; or why there is none.

    A section that one of the two lacks is absent, and ``unavailable`` says which of them lacks it.
    """
    before, after = _middle(baseline), _middle(optimized)
    if before is None or after is None:
        side = "baseline" if before is None else "optimized"
        return {"available": False, "reason": f"no run of {side} has evidence that can be used"}
    answer: Json = {
        "available": True,
        "runs": {"baseline": before.id, "optimized": after.id},
    }
    unavailable: Json = {}
    for name, of in SECTIONS.items():
        lacking = [
            side
            for side, run in (("baseline", before), ("optimized", after))
            if not isinstance(run.evidence.get(name), dict)
        ]
        if lacking:
            unavailable[name] = f"not measured in the run of {' and of '.join(lacking)}"
        else:
            answer[name] = of(mapping(before.evidence[name]), mapping(after.evidence[name]))
    return answer | ({"unavailable": unavailable} if unavailable else {})


def _middle(runs: Sequence[Measured]) -> Measured | None:
    """Return the run with the median wall time; the faster one of two."""
    usable = [run for run in runs if _is_usable(run.evidence)]
    timed = [run for run in usable if run.wall_ms is not None] or usable
    ordered = sorted(timed, key=lambda run: run.wall_ms or 0.0)
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def _is_usable(evidence: Mapping[str, Any]) -> bool:
    verdict = mapping(evidence.get("completeness")).get("verdict")
    return evidence.get("available") is True and verdict != "invalid"


Section = Mapping[str, Any]


def _latency(before: Section, after: Section) -> Json:
    sides = {"baseline": _buckets(before), "optimized": _buckets(after)}
    bounds = with_gaps(sorted({low for counts in sides.values() for low in counts}))
    return {
        **{
            f"{side}_hist": [
                {"bucket_us": _whole(low), "count": counts.get(low, 0)} for low in bounds
            ]
            for side, counts in sides.items()
        },
        **_known(
            p95_baseline_us=number(before.get("p95_us")),
            p95_optimized_us=number(after.get("p95_us")),
        ),
    }


def _buckets(section: Section) -> dict[float, int]:
    return {
        low: int(size)
        for row in rows(section.get("histogram"))
        if (low := number(row.get("bucket_us"))) is not None
        and (size := number(row.get("count"))) is not None
    }


def _off_cpu(before: Section, after: Section) -> Json:
    totals = _known(
        baseline_total_ms=number(before.get("total_ms")),
        optimized_total_ms=number(after.get("total_ms")),
    )
    return totals | _top("top_reasons", before, after, "reason", "ms")


def _exec(before: Section, after: Section) -> Json:
    counts = _known(
        baseline_exec_count=number(before.get("exec_count")),
        optimized_exec_count=number(after.get("exec_count")),
    )
    return counts | _top("top_commands", before, after, "command", "count")


def _top(field: str, before: Section, after: Section, name: str, amount: str) -> Json:
    """Return a table of both sides, of each row what the original has of it."""
    return {
        f"{side}_{field}": [
            {name: str(row[name]), amount: known}
            for row in rows(section.get(field))
            if name in row and (known := number(row.get(amount))) is not None
        ]
        for side, section in (("baseline", before), ("optimized", after))
    }


def _calls(before: Section, after: Section) -> Json:
    return {
        side: _known(**{name: number(section.get(name)) for name in FIVE_CALLS})
        for side, section in (("baseline", before), ("optimized", after))
    }


def _known(**values: float | None) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _whole(bound: float) -> float:
    return int(bound) if float(bound).is_integer() else bound


SECTIONS: Mapping[str, Callable[[Section, Section], Json]] = {
    **dict.fromkeys(LATENCIES, _latency),
    "offcpu": _off_cpu,
    "exec": _exec,
    "syscall_counts": _calls,
}
