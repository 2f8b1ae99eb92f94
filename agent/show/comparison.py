"""How two commands compare, as text: the result in a sentence, the gain, and what differs."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.amounts import amount, p, percent, plain
from agent.show.cause import cause
from agent.show.layout import titled
from agent.terminal.charts import grid
from agent.terminal.style import Style
from agent.terminal.values import ABSENT, count, counted, mapping, number, printable
from agent.terminal.values import rows as objects
from agent.terminal.width import cells, left

FEWEST = 6
"""Runs, or pairs, that a 95 % interval takes."""
SHOWN_FIGURES = 8
LONGEST_FIGURE = 24
COMPARED = ("baseline", "optimized")
DECIDED = ("smaller", "larger")
UNDECIDED = "~: no difference found; one of the size next to it would probably have been"


def sentence(plan: Mapping[str, Any], comparison: Mapping[str, Any], style: Style) -> list[str]:
    """Return the result, or nothing where nothing was compared."""
    if not comparison:
        return []
    outcome = comparison.get("outcome")
    tested = f"{p(comparison.get('p'))} n={count(comparison.get('pairs'))}"
    changed = _changed(mapping(comparison.get("change_pct")), tested)
    if outcome == "smaller":
        said = style.good(f"optimized takes {changed}") + cause(comparison)
    elif outcome == "larger":
        said = style.bad(f"optimized takes {changed}") + cause(comparison)
    elif outcome == "too small":
        least = percent(100 * (number(plan.get("min_effect")) or 0))
        said = f"no difference that matters (--min-effect {least}): {changed}"
    elif outcome == "undecided":
        detectable = percent(comparison.get("detectable_pct"))
        said = f"~ no difference found ({tested}); one of {detectable} would probably have been"
    else:
        pairs = counted(comparison.get("pairs"), "pair")
        said = f"no decision: {pairs}, and a 95 % interval takes {FEWEST}"
    return [said, ""]


def _changed(change: Mapping[str, Any], tested: str) -> str:
    middle = number(change.get("middle"))
    bounds = [number(change.get(name)) for name in ("low", "high")]
    if middle is None or None in bounds:
        return ABSENT
    word = "less" if middle < 0 else "more"
    sign = -1 if middle < 0 else 1
    low, high = sorted(sign * bound for bound in bounds if bound is not None)
    interval = f"95 % interval {plain(low)} – {percent(high)}"
    return f"{percent(abs(middle))} {word} time ({interval}, {tested})"


def about(plan: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the gain, and on what the result depends."""
    if not comparison:
        return []
    pairs = counted(comparison.get("pairs"), "pair")
    order = f"{count(comparison.get('baseline_first'))} of {pairs}"
    seed = f"--seed {printable(plan.get('seed'), 20)}"
    return [
        ("gain", _gain(mapping(comparison.get("gain_pct")))),
        (
            "order",
            f"at random, baseline first in {order} ({seed});"
            " layout of memory and environment were not varied",
        ),
    ]


def _gain(gain: Mapping[str, Any]) -> str:
    bounds = [gain.get(name) for name in ("low", "high")]
    told = f"{percent(gain.get('middle'))} of the median"
    if any(number(bound) is None for bound in bounds):
        return told
    return f"{told}, 95 % interval {' – '.join(map(plain, bounds))} %"


def differences(
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
        (kind(shown), "baseline", "optimized", "difference", ""),
        *((*row, left(note, notes)) for *row, note in found),
    ]
    rest = comparison.get("not_tested")
    said = [
        (UNDECIDED if alike and room else ""),
        further(len(listed) - len(shown), "without a difference"),
        further(len(rest) if isinstance(rest, list) else 0, "not tested"),
    ]
    body = [*grid(lines, columns), *filter(None, said)]
    return ["", *titled("Difference per run, medians", body, style)]


def kind(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return what the figures are: only those of wall time do not sum up over tasks."""
    of_wall_time = [str(figure.get("name")).startswith("wall: ") for figure in figures]
    return "sums over tasks" if not any(of_wall_time) else "wall, sums over tasks"


def further(figures: int, what: str) -> str:
    """Return how many figures are not shown, and why."""
    return f"{counted(figures, 'further figure')} {what}" if figures > 0 else ""


def _difference(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return name, medians, difference, and how certain it is; each of them is short."""
    unit, found = row.get("unit"), mapping(row.get("difference"))
    if row.get("outcome") in DECIDED:
        middle = number(found.get("middle")) or 0
        told = f"{'+' if middle > 0 else '-'}{amount(abs(middle), unit)}"
    elif number(row.get("detectable")) is not None:
        told = f"~ {amount(row.get('detectable'), unit)}"
    else:
        told = "~"
    note = f"{p(row.get('adjusted_p'))} n={count(row.get('pairs'))}"
    before, after = (_occurring(row, side) for side in (0, 1))
    return printable(row.get("name"), LONGEST_FIGURE), before, after, told, note


def _occurring(row: Mapping[str, Any], side: int) -> str:
    """Return the median of one side: no number if there is nothing of it in any run."""
    occurs = row.get("occurs_in")
    if isinstance(occurs, list) and len(occurs) == len(COMPARED) and number(occurs[side]) == 0:
        return "none"
    return amount(row.get(COMPARED[side]), row.get("unit"))
