"""What the runs of one command took, as text."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.amounts import FEWEST, amount, between, ms
from agent.show.differences import COMPARED, SHOWN_FIGURES, figure_name, further, kind
from agent.show.kept import labels, selected, selected_apart
from agent.show.layout import titled
from agent.show.outliers import outliers
from agent.show.procfs import of_runs
from agent.terminal.charts import grid, histogram
from agent.terminal.evidence import LATENCIES
from agent.terminal.style import Style
from agent.terminal.values import (
    ABSENT,
    FEW,
    command_line,
    count,
    counted,
    mapping,
    number,
    printable,
)
from agent.terminal.values import rows as objects

BOUNDS = "≥: at least, as tasks were only looked at now and then"
NO_COMMAND = "its command is not known"
LONGEST_REASON = 1000


def side_lines(
    name: str, words: object, side: Mapping[str, Any], document: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return label and text of one side: its command, its runs, what they took."""
    wall, plan = mapping(side.get("wall_ms")), mapping(document.get("series"))
    label = name if name in COMPARED else "command"
    own = _counting(name, objects(document.get("runs")))
    command = command_line(words)
    if not side:
        return [(label, command), ("runs", "none is complete")]
    return [
        (label, command or selected(name, document) or NO_COMMAND),
        ("chosen by", selected_apart(name, document) if command else ""),
        ("labels", labels(name, document)),
        ("runs", runs_of(side, plan)),
        ("time", time_of(side)),
        ("", _mean(wall)),
        ("", _cpu(side)),
        ("values", _values(own)),
        *outliers(wall),
        _over_time(mapping(wall.get("drift")), number(plan.get("warmup")) or 0),
        ("evidence", evidence_of(side)),
        *(("", line) for line in _lacking(own)),
        ("totals", of_runs([mapping(run.get("evidence")) for run in own])),
    ]


def runs_of(side: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Return how many runs count, and of what kind they are."""
    told = [count(side.get("runs"))]
    if number(plan.get("warmup")):
        told.append(f"after {count(plan.get('warmup'))} to warm up")
    if number(side.get("failed")):
        told.append(f"{count(side.get('failed'))} of them failed")
    return ", ".join(told)


def time_of(side: Mapping[str, Any]) -> str:
    """Return the median of the wall time, and its interval."""
    found = mapping(mapping(side.get("wall_ms")).get("median"))
    return f"median {ms(found.get('middle'))}, {_bounds(found, 'ms')}"


def _bounds(found: Mapping[str, Any], unit: str) -> str:
    low, high = found.get("low"), found.get("high")
    if number(low) is None or number(high) is None:
        return f"no 95 % interval (it takes {FEWEST} runs)"
    return f"95 % interval {amount(low, unit)} – {amount(high, unit)}"


def _mean(wall: Mapping[str, Any]) -> str:
    deviation = wall.get("deviation")
    spread = "" if number(deviation) is None else f" ± {ms(deviation)} (std. dev.)"
    ends = f"{ms(wall.get('lowest'))} – {ms(wall.get('highest'))}"
    return f"mean {ms(wall.get('mean'))}{spread}, range {ends}"


def _cpu(side: Mapping[str, Any]) -> str:
    user, system = side.get("user_ms_mean"), side.get("system_ms_mean")
    if number(user) is None and number(system) is None:
        return ""
    return f"user {ms(user)}, system {ms(system)} (means)"


def _counting(name: str, runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the runs of a side that count."""
    return [run for run in runs if run.get("side") == name and run.get("counts") is True]


def _values(own: Sequence[Mapping[str, Any]]) -> str:
    """Return the times one by one where there are too few of them for an interval."""
    if len(own) >= FEWEST:
        return ""
    return ", ".join(
        ms(run.get("wall_ms", mapping(run.get("command")).get("wall_ms"))) for run in own
    )


def _over_time(drift: Mapping[str, Any], warmup: float) -> tuple[str, str]:
    """Return label and text of a drift, or of a first run unlike the others; often empty.

    ``warmup``: how many runs did not count already.
    """
    first = f"took {ms(drift.get('first_ms'))}"
    rest = f"the median of the others is {ms(drift.get('rest_median_ms'))}"
    if drift.get("is_certain") is True:
        slope = number(mapping(drift.get("ms_per_run")).get("middle")) or 0
        word = "more" if slope > 0 else "less"
        each = f"each run takes {ms(abs(slope))} {word} than the one before"
        return "drift", f"{each}; the first {first}, {rest}"
    if drift.get("first_differs") is True:
        return "first run", f"{first}, and {rest} (run --warmup {warmup + 1:.0f} leaves it out)"
    return "", ""


def evidence_of(side: Mapping[str, Any]) -> str:
    """Return how many runs have which verdict."""
    verdicts = mapping(side.get("verdicts"))
    return ", ".join(
        f"none in {counted(runs, 'run')}"
        if name == "none"
        else f"{count(runs)} {printable(name, 20)}"
        for name, runs in verdicts.items()
    )


def _lacking(own: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why the runs that count are not complete: each reason that comes first in one, once.

    Of many the first are named, and how many runs have others.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for run in own:
        if why := _first_reason(mapping(run.get("evidence"))):
            found[why].append(count(run.get("round")))
    lines = [f"{_rounds(rounds, len(own))}: {why}" for why, rounds in found.items()]
    left = sum(map(len, [*found.values()][FEW:]))
    return [*lines[:FEW], *([f"{left} more that are not complete"] if left else [])]


def _first_reason(evidence: Mapping[str, Any]) -> str:
    reasons = mapping(evidence.get("completeness")).get("reasons")
    if not isinstance(reasons, list) or not reasons:
        none = evidence.get("available") is False and evidence.get("reason")
        return printable(none, LONGEST_REASON) if none else ""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{printable(reasons[0], LONGEST_REASON)}{more}"


def _rounds(rounds: Sequence[str], of: int) -> str:
    """Return which runs of how many these are: numbers, as long as they are few."""
    if len(rounds) == 1:
        return f"run {rounds[0]}"
    if len(rounds) > FEW:
        return "all runs" if len(rounds) == of else f"{len(rounds)} of {of} runs"
    return f"runs {', '.join(rounds[:-1])} and {rounds[-1]}"


def figures_of(
    name: str, side: Mapping[str, Any], columns: int, style: Style, whole: bool
) -> list[str]:
    listed = objects(side.get("figures"))
    if not listed:
        return []
    shown = listed if whole else listed[:SHOWN_FIGURES]
    lines = [(kind(shown), "median", "95 % interval", "range")]
    for row in shown:
        unit, median = row.get("unit"), mapping(row.get("median"))
        has_bounds = number(median.get("low")) is not None
        lines.append(
            (
                figure_name(row),
                f"{bound_of(row)}{amount(median.get('middle'), unit)}",
                between(median.get("low"), median.get("high"), unit) if has_bounds else ABSENT,
                between(row.get("lowest"), row.get("highest"), unit),
            )
        )
    of = f" of {name}" if name in COMPARED else ""
    unshown = further(len(listed) - len(shown), "not shown")
    bounds = BOUNDS if any(map(bound_of, shown)) else ""
    body = [*grid(lines, columns), *filter(None, [bounds, unshown])]
    return ["", *titled(f"Per run{of}", body, style)]


def bound_of(figure: Mapping[str, Any]) -> str:
    """Return what stands before a lower bound."""
    return "≥ " if figure.get("at_least") is True else ""


def histograms_of(
    name: str, side: Mapping[str, Any], columns: int, style: Style
) -> list[list[str]]:
    histograms = mapping(side.get("histograms"))
    of = f", {name}" if name in COMPARED else ""
    return [
        ["", *titled(f"{title}: all runs{of}", histogram(objects(histograms[key]), columns), style)]
        for key, title in LATENCIES.items()
        if objects(histograms.get(key))
    ]
