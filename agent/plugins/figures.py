"""Figures of one run or of several, without nesting, for tools that keep names and values.

What is not known of every run is absent. Sums are means over the runs, so they still add up.
Percentiles of several runs have no mean: their histograms are added up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.terminal.evidence import FIVE_CALLS, LATENCIES, has_budget, total_ms, verdict
from agent.terminal.values import mapping, number, printable
from agent.words import COMPLETE, DEGRADED, VERDICTS, Json

STATES = ("computing", "waiting_for_cpu", "blocked", "stopped", "no_task", "unknown")
PERCENT = 95
BLOCK_MS = "block_ms"
"""What `agent.client.MeasuredBlock.block_ms` is called next to the evidence, and as a figure."""
LONGEST_REASON = 500
"""Characters."""
NONE = "none"
"""In the place of a verdict, where there is no evidence."""
USED = (COMPLETE, DEGRADED)
BEST_TO_WORST = (*VERDICTS, NONE)


def figures_of(runs: Sequence[Json]) -> dict[str, str | float]:
    """Return verdict, reasons, and the figures of the runs that can be used.

    ``verdict`` is the worst of all runs. ``runs`` is how many the figures are about: those with
    evidence that is not ``invalid``.
    """
    verdicts = [_verdict(run) for run in runs]
    used = [run for run, verdict in zip(runs, verdicts, strict=True) if verdict in USED]
    found: dict[str, str | float] = {
        "verdict": max(verdicts, key=BEST_TO_WORST.index, default=NONE),
        "runs": len(used),
    }
    if reasons := _reasons(runs):
        found["reasons"] = "; ".join(reasons)
    if any(run.get("mock") for run in runs):
        found["mock"] = 1
    return found | _means([_sums(run) for run in used]) | _percentiles(used)


def _verdict(run: Json) -> str:
    found = verdict(run)
    return found if found in BEST_TO_WORST else NONE


def _reasons(runs: Sequence[Json]) -> list[str]:
    """Return why runs have no evidence, and the codes of what is wrong with the others, once."""
    found: list[object] = []
    for run in runs:
        listed = mapping(run.get("completeness")).get("reasons")
        if run.get("available") is not True:
            found.append(run.get("reason", ""))
        elif isinstance(listed, list):
            found += [str(text).partition(":")[0] for text in listed]
    said = (printable(text, LONGEST_REASON).strip() for text in found)
    return list(filter(None, dict.fromkeys(said)))


def _sums(run: Json) -> dict[str, float]:
    """Return the sums of one run that are known: times in ms, and counts."""
    calls = mapping(run.get("syscall_counts"))
    every_call = mapping(calls.get("all"))
    sums = {
        BLOCK_MS: run.get(BLOCK_MS),
        "offcpu_total_ms": mapping(run.get("offcpu")).get("total_ms"),
        "exec_count": mapping(run.get("exec")).get("exec_count"),
        "syscalls": sum(every_call.values()) if _all_numbers(every_call) else None,
        **{f"syscall_{name}": calls.get(name) for name in FIVE_CALLS},
        **_wall(run),
    }
    for name in LATENCIES:
        section = mapping(run.get(name))
        sums |= {f"{name}_count": section.get("count"), f"{name}_total_ms": total_ms(section)}
    return {name: known for name, value in sums.items() if (known := number(value)) is not None}


def _all_numbers(values: Mapping[str, Any]) -> bool:
    return bool(values) and all(number(value) is not None for value in values.values())


def _wall(run: Json) -> dict[str, object]:
    """Return the budget of wall time, unless it is not known, or one of its checks failed."""
    if not has_budget(run):
        return {}
    wall = mapping(run.get("wall"))
    states = mapping(wall.get("states"))
    return {
        "wall_ms": wall.get("wall_ms"),
        **{f"wall_{name}_ms": mapping(states.get(name)).get("ms") for name in STATES},
    }


def _means(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of what is known of every run."""
    first, *others = runs or [{}]
    names = [name for name in first if all(name in run for run in others)]
    if not others:
        return {name: first[name] for name in names}
    return {name: sum(run[name] / len(runs) for run in runs) for name in names}


def _percentiles(runs: Sequence[Json]) -> dict[str, float]:
    found = {name: _percentile_us([mapping(run.get(name)) for run in runs]) for name in LATENCIES}
    return {f"{name}_p{PERCENT}_us": us for name, us in found.items() if us is not None}


def _percentile_us(sections: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the percentile of all latencies together; None if it is not known, or of nothing."""
    if len(sections) == 1:
        return number(sections[0].get(f"p{PERCENT}_us"))
    histograms = [section.get("hdr") for section in sections]
    if not histograms or not all(isinstance(one, str) for one in histograms):
        return None
    from agent.aggregate.hdr import percentile_of_all

    try:
        ns = percentile_of_all([str(one) for one in histograms], PERCENT)
    except ValueError:
        return None
    return None if ns is None else ns / 1e3
