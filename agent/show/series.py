"""A series of runs as text: what the runs say together, and how two commands compare.

The document may come from any version of the agent, and from anyone, as evidence may.
"""

import math
import shlex
from collections.abc import Mapping
from typing import Any

from agent.show.everything import fields
from agent.show.layout import MARGIN, table, titled
from agent.terminal.charts import grid, histogram
from agent.terminal.style import Style
from agent.terminal.values import ABSENT, count, counted, mapping, number, printable, significant
from agent.terminal.values import rows as objects
from agent.terminal.width import cells, fit, left

FEWEST = 6
"""Runs that a 95 % interval takes."""
SHOWN_FIGURES = 8
LONGEST_COMMAND = 200
TITLES = {"runqlat": "Waits for a CPU", "biolatency": "Block I/O"}
LONGEST_FIGURE = 24
DECIDED = ("smaller", "larger")
UNDECIDED = "~: no difference found; one of the size next to it would probably have been"
COMPARED = ("baseline", "optimized")


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
    parts = [_banner(document, style), _sentence(plan, comparison, style)]
    parts += [
        table(_side(name, words, mapping(sides.get(name)), plan), columns)
        for name, words in mapping(plan.get("commands")).items()
    ]
    parts += [
        table(_about(plan, comparison), columns),
        _differences(comparison, columns, style, whole),
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


# --- the result in a sentence


def _sentence(plan: Mapping[str, Any], comparison: Mapping[str, Any], style: Style) -> list[str]:
    if not comparison:
        return []
    change, outcome = mapping(comparison.get("change_pct")), comparison.get("outcome")
    tested = f"({_p(comparison.get('p'))} n={count(comparison.get('pairs'))})"
    if outcome == "smaller":
        said = style.good(f"optimized is faster: {_changed(change)} {tested}")
    elif outcome == "larger":
        said = style.bad(f"optimized is slower: {_changed(change)} {tested}")
    elif outcome == "too small":
        least = _percent(100 * (number(plan.get("min_effect")) or 0))
        said = f"no difference that matters: {_changed(change)} {tested}; --min-effect is {least}"
    elif outcome == "undecided":
        detectable = _percent(comparison.get("detectable_pct"))
        said = f"~ no difference found {tested}; one of {detectable} would probably have been"
    else:
        pairs = counted(comparison.get("pairs"), "pair")
        said = f"no decision: {pairs}, and a 95 % interval takes {FEWEST}"
    return [said, ""]


def _changed(change: Mapping[str, Any]) -> str:
    middle = number(change.get("middle"))
    bounds = [number(change.get(name)) for name in ("low", "high")]
    if middle is None or None in bounds:
        return ABSENT
    word = "less" if middle < 0 else "more"
    sign = -1 if middle < 0 else 1
    low, high = sorted(sign * bound for bound in bounds if bound is not None)
    return f"{_percent(abs(middle))} {word} time, 95 % interval {_plain(low)} – {_percent(high)}"


# --- one side


def _side(
    name: str, words: object, side: Mapping[str, Any], plan: Mapping[str, Any]
) -> list[tuple[str, str]]:
    wall = mapping(side.get("wall_ms"))
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
        ("outliers", _outliers(wall)),
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
    return f"median {_ms(found.get('middle'))}, {_bounds(found, 'ms')}"


def _bounds(found: Mapping[str, Any], unit: str) -> str:
    low, high = found.get("low"), found.get("high")
    if number(low) is None or number(high) is None:
        return f"no 95 % interval (it takes {FEWEST} runs)"
    return f"95 % interval {_amount(low, unit)} – {_amount(high, unit)}"


def _mean(wall: Mapping[str, Any]) -> str:
    deviation = wall.get("deviation")
    spread = "" if number(deviation) is None else f" ± {_ms(deviation)}"
    ends = f"{_ms(wall.get('lowest'))} – {_ms(wall.get('highest'))}"
    return f"mean {_ms(wall.get('mean'))}{spread}, range {ends}"


def _cpu(side: Mapping[str, Any]) -> str:
    user, system = side.get("user_ms_mean"), side.get("system_ms_mean")
    return f"user {_ms(user)}, system {_ms(system)} (means)"


def _outliers(wall: Mapping[str, Any]) -> str:
    named = [
        f"run {count(row.get('round'))} took {_ms(row.get('ms'))}"
        for row in objects(wall.get("outliers"))
    ]
    return f"{', '.join(named)} (they count like the others)" if named else ""


def _drift(drift: Mapping[str, Any]) -> str:
    if drift.get("is_certain") is not True:
        return ""
    slope = mapping(drift.get("ms_per_run"))
    word = "more" if (number(slope.get("middle")) or 0) > 0 else "less"
    by = _ms(abs(number(slope.get("middle")) or 0))
    first = f"the first took {_ms(drift.get('first_ms'))}"
    rest = f"the median of the others is {_ms(drift.get('rest_median_ms'))}"
    return f"each run takes {by} {word} than the one before; {first}, {rest}"


def _verdicts(verdicts: Mapping[str, Any]) -> str:
    return ", ".join(f"{count(runs)} {printable(name, 20)}" for name, runs in verdicts.items())


def _about(plan: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how the series was run, as far as the result depends on it."""
    told = [("ended", _end(plan))]
    if comparison:
        gain = mapping(comparison.get("gain_pct"))
        bounds = [gain.get(name) for name in ("low", "high")]
        known = all(number(bound) is not None for bound in bounds)
        interval = f", 95 % interval {' – '.join(map(_plain, bounds))} %" if known else ""
        order = f"{count(comparison.get('baseline_first'))} of {count(comparison.get('pairs'))}"
        seed = f"--seed {printable(plan.get('seed'), 20)}"
        told += [
            ("gain", f"{_percent(gain.get('middle'))} of the median{interval}"),
            (
                "order",
                f"at random, baseline first in {order} pairs ({seed});"
                " layout of memory and environment were not varied",
            ),
        ]
    return told


def _end(plan: Mapping[str, Any]) -> str:
    """Return the rule by which the series ended, unless it was to have so many runs."""
    if plan.get("ended_early") is not None:
        return printable(plan.get("ended_early"), 500)
    until = _percent(100 * (number(plan.get("until")) or 0))
    if plan.get("ended_by") == "until":
        return f"when half the interval was within {until} of the median (--until)"
    if plan.get("ended_by") == "max_runs":
        most = count(plan.get("most_runs"))
        return f"at --max-runs {most}, before half the interval was within {until} (--until)"
    return ""


# --- figures


def _figures(
    name: str, side: Mapping[str, Any], columns: int, style: Style, whole: bool
) -> list[str]:
    listed = objects(side.get("figures"))
    if not listed:
        return []
    shown = listed if whole else listed[:SHOWN_FIGURES]
    lines = [("sums over tasks", "median", "95 % interval", "range")]
    for row in shown:
        unit, median = row.get("unit"), mapping(row.get("median"))
        has_bounds = number(median.get("low")) is not None
        lines.append(
            (
                printable(row.get("name"), LONGEST_FIGURE),
                _amount(median.get("middle"), unit),
                _between(median.get("low"), median.get("high"), unit) if has_bounds else ABSENT,
                _between(row.get("lowest"), row.get("highest"), unit),
            )
        )
    of = f" of {name}" if name in COMPARED else ""
    further = _further(len(listed) - len(shown), "in the file of --json")
    body = [*grid(lines, columns), *filter(None, [further])]
    return ["", *titled(f"Per run{of}", body, style)]


def _histograms(name: str, side: Mapping[str, Any], columns: int, style: Style) -> list[list[str]]:
    histograms = mapping(side.get("histograms"))
    of = f", {name}" if name in COMPARED else ""
    return [
        ["", *titled(f"{title}: all runs{of}", histogram(objects(histograms[key]), columns), style)]
        for key, title in TITLES.items()
        if objects(histograms.get(key))
    ]


def _differences(
    comparison: Mapping[str, Any], columns: int, style: Style, whole: bool
) -> list[str]:
    """Return the figures that differ, and of the others the largest, or all."""
    listed = objects(comparison.get("figures"))
    differing = [row for row in listed if row.get("outcome") in DECIDED]
    alike = [row for row in listed if row.get("outcome") not in DECIDED]
    room = len(alike) if whole else max(SHOWN_FIGURES - len(differing), 0)
    shown = [*differing, *alike[:room]]
    if not shown:
        return []
    found = [_difference(row) for row in shown]
    notes = max(cells(note) for *_, note in found)
    lines: list[tuple[str, ...]] = [
        ("sums over tasks", "baseline", "optimized", "difference", ""),
        *((*row, left(note, notes)) for *row, note in found),
    ]
    rest = comparison.get("not_tested")
    said = [
        (UNDECIDED if alike and room else ""),
        _further(len(listed) - len(shown), "without a difference"),
        _further(len(rest) if isinstance(rest, list) else 0, "not tested"),
    ]
    body = [*grid(lines, columns), *filter(None, said)]
    return ["", *titled("Difference per run, medians", body, style)]


def _further(figures: int, what: str) -> str:
    return f"{counted(figures, 'further figure')} {what}" if figures > 0 else ""


def _difference(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return name, medians, difference, and how certain it is; each of them is short."""
    unit, found = row.get("unit"), mapping(row.get("difference"))
    if row.get("outcome") in DECIDED:
        middle = number(found.get("middle")) or 0
        told = f"{'+' if middle > 0 else '-'}{_amount(abs(middle), unit)}"
    elif number(row.get("detectable")) is not None:
        told = f"~ {_amount(row.get('detectable'), unit)}"
    else:
        told = "~"
    note = f"{_p(row.get('adjusted_p'))} n={count(row.get('pairs'))}"
    before, after = (_occurring(row, side) for side in (0, 1))
    return printable(row.get("name"), LONGEST_FIGURE), before, after, told, note


def _occurring(row: Mapping[str, Any], side: int) -> str:
    """Return the median of one side: no number if there is nothing of it in any run."""
    occurs = row.get("occurs_in")
    if isinstance(occurs, list) and len(occurs) == len(COMPARED) and number(occurs[side]) == 0:
        return "none"
    return _amount(row.get(COMPARED[side]), row.get("unit"))


# --- numbers


def _between(low: object, high: object, unit: object) -> str:
    return f"{_amount(low, unit)} – {_amount(high, unit)}"


def _amount(value: object, unit: object) -> str:
    return _ms(value) if unit == "ms" else _plain(value)


def _ms(value: object) -> str:
    """Return a time with four digits, one more than elsewhere: small differences are the matter."""
    ms = number(value)
    if ms is None:
        return ABSENT
    for unit, size in (("s", 1e3), ("ms", 1.0), ("µs", 1e-3)):
        if abs(ms) >= size:
            return f"{_four_digits(ms / size)} {unit}"
    return "0 ms" if ms == 0 else f"{_four_digits(ms * 1e6)} ns"


def _four_digits(value: float) -> str:
    decimals = max(3 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{decimals}f}"


def _plain(value: object) -> str:
    amount = number(value)
    return ABSENT if amount is None else significant(amount)


def _percent(value: object) -> str:
    return f"{_plain(value)} %"


def _p(value: object) -> str:
    p = number(value)
    return f"p {ABSENT}" if p is None else "p<0.001" if p < 0.0005 else f"p={p:.3f}"
