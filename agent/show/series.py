"""A series of runs as text: what the runs of each command say together.

The document may come from any version of the agent, and from anyone, as evidence may.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.amounts import amount, between, ms, percent
from agent.show.comparison import (
    COMPARED,
    FEWEST,
    LONGEST_FIGURE,
    SHOWN_FIGURES,
    about,
    differences,
    further,
    kind,
    sentence,
)
from agent.show.everything import fields
from agent.show.finished import left_behind
from agent.show.header import timing
from agent.show.layout import MARGIN, table, titled
from agent.show.outliers import outliers
from agent.terminal.charts import grid, histogram
from agent.terminal.style import Style
from agent.terminal.values import ABSENT, count, counted, mapping, number, printable
from agent.terminal.values import rows as objects
from agent.terminal.width import fit

LONGEST_COMMAND = 200
TITLES = {"runqlat": "Waits for a CPU", "biolatency": "Block I/O"}


def is_series(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("series"), dict)


def series(
    document: Mapping[str, Any],
    screen: int,
    style: Style,
    *,
    whole: bool = False,
    everything: bool = False,
) -> str:
    """Return the report, no line wider than ``screen`` columns, ending in a newline.

    With ``whole``, all figures are shown, and histograms; with ``everything``, each field follows.
    """
    columns = screen - len(MARGIN)
    plan, comparison = mapping(document.get("series")), mapping(document.get("comparison"))
    sides = mapping(document.get("sides"))
    parts = [_banner(document, style), sentence(plan, comparison, style)]
    parts += [
        table(side_lines(name, words, mapping(sides.get(name)), document), columns)
        for name, words in mapping(plan.get("commands")).items()
    ]
    parts += [
        table(
            [
                ("ended", _end(plan)),
                ("left", _left(document)),
                ("timing", _timing(document)),
                *about(plan, comparison),
            ],
            columns,
        ),
        differences(comparison, columns, style, whole),
    ]
    for name, side in sides.items():
        if whole or not comparison:
            parts.append(_figures(name, mapping(side), columns, style, whole))
        if whole:
            parts += _histograms(name, mapping(side), columns, style)
    if everything:
        parts.append(["", *titled("Everything in the file", fields(document, columns), style)])
    return fit("\n".join("\n".join(part) for part in parts if part) + "\n", screen)


def _banner(document: Mapping[str, Any], style: Style) -> list[str]:
    runs = objects(document.get("runs"))
    if not any(mapping(run.get("evidence")).get("mock") for run in runs):
        return []
    return [style.bad("mock: synthetic events; only the times of the commands were measured"), ""]


def _timing(document: Mapping[str, Any]) -> str:
    said = (timing(mapping(run.get("evidence"))) for run in objects(document.get("runs")))
    return next(filter(None, said), "")


def side_lines(
    name: str, words: object, side: Mapping[str, Any], document: Mapping[str, Any]
) -> list[tuple[str, str]]:
    wall, plan = mapping(side.get("wall_ms")), mapping(document.get("series"))
    label = name if name in COMPARED else "command"
    listed = words if isinstance(words, list) else []
    command = printable(" ".join(shlex.quote(str(word)) for word in listed), LONGEST_COMMAND)
    if not side:
        return [(label, command), ("runs", "none is complete")]
    return [
        (label, command),
        ("runs", _runs(side, plan)),
        ("time", _median(wall)),
        ("", _mean(wall)),
        ("", _cpu(side)),
        ("values", _values(name, objects(document.get("runs")))),
        *outliers(wall),
        ("drift", _drift(mapping(wall.get("drift")))),
        ("evidence", _verdicts(mapping(side.get("verdicts")))),
    ]


def _runs(side: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    told = [count(side.get("runs"))]
    if number(plan.get("warmup")):
        told.append(f"after {count(plan.get('warmup'))} to warm up")
    if number(side.get("failed")):
        told.append(f"{count(side.get('failed'))} of them failed")
    return ", ".join(told)


def _median(wall: Mapping[str, Any]) -> str:
    found = mapping(wall.get("median"))
    return f"median {ms(found.get('middle'))}, {_bounds(found, 'ms')}"


def _bounds(found: Mapping[str, Any], unit: str) -> str:
    low, high = found.get("low"), found.get("high")
    if number(low) is None or number(high) is None:
        return f"no 95 % interval (it takes {FEWEST} runs)"
    return f"95 % interval {amount(low, unit)} – {amount(high, unit)}"


def _mean(wall: Mapping[str, Any]) -> str:
    deviation = wall.get("deviation")
    spread = "" if number(deviation) is None else f" ± {ms(deviation)}"
    ends = f"{ms(wall.get('lowest'))} – {ms(wall.get('highest'))}"
    return f"mean {ms(wall.get('mean'))}{spread}, range {ends}"


def _cpu(side: Mapping[str, Any]) -> str:
    user, system = side.get("user_ms_mean"), side.get("system_ms_mean")
    return f"user {ms(user)}, system {ms(system)} (means)"


def _values(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the times one by one where there are too few of them for an interval."""
    own = [run for run in runs if run.get("side") == name and run.get("counts") is True]
    if len(own) >= FEWEST:
        return ""
    return ", ".join(ms(mapping(run.get("command")).get("wall_ms")) for run in own)


def _drift(drift: Mapping[str, Any]) -> str:
    if drift.get("is_certain") is not True:
        return ""
    slope = mapping(drift.get("ms_per_run"))
    word = "more" if (number(slope.get("middle")) or 0) > 0 else "less"
    by = ms(abs(number(slope.get("middle")) or 0))
    first = f"the first took {ms(drift.get('first_ms'))}"
    rest = f"the median of the others is {ms(drift.get('rest_median_ms'))}"
    return f"each run takes {by} {word} than the one before; {first}, {rest}"


def _verdicts(verdicts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"none in {counted(runs, 'run')}"
        if name == "none"
        else f"{count(runs)} {printable(name, 20)}"
        for name, runs in verdicts.items()
    )


def _left(document: Mapping[str, Any]) -> str:
    """Return what still ran after the last run, by whichever run it was started."""
    runs = objects(document.get("runs"))
    last = mapping(runs[-1].get("command")) if runs else {}
    return left_behind(objects(last.get("left_behind")))


def _end(plan: Mapping[str, Any]) -> str:
    """Return the rule by which the series ended, unless it was to have so many runs."""
    if plan.get("ended_early") is not None:
        return printable(plan.get("ended_early"), 500)
    until = percent(100 * (number(plan.get("until")) or 0))
    if plan.get("ended_by") == "until":
        return f"when half the interval was within {until} of the median (--until)"
    if plan.get("ended_by") == "max_runs":
        most = count(plan.get("most_runs"))
        return f"at --max-runs {most}, before half the interval was within {until} (--until)"
    return ""


def _figures(
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
                printable(row.get("name"), LONGEST_FIGURE),
                amount(median.get("middle"), unit),
                between(median.get("low"), median.get("high"), unit) if has_bounds else ABSENT,
                between(row.get("lowest"), row.get("highest"), unit),
            )
        )
    of = f" of {name}" if name in COMPARED else ""
    unshown = further(len(listed) - len(shown), "in the file of --json")
    body = [*grid(lines, columns), *filter(None, [unshown])]
    return ["", *titled(f"Per run{of}", body, style)]


def _histograms(name: str, side: Mapping[str, Any], columns: int, style: Style) -> list[list[str]]:
    histograms = mapping(side.get("histograms"))
    of = f", {name}" if name in COMPARED else ""
    return [
        ["", *titled(f"{title}: all runs{of}", histogram(objects(histograms[key]), columns), style)]
        for key, title in TITLES.items()
        if objects(histograms.get(key))
    ]
