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
TOLD = (*DECIDED, "too small", "too few")
"""Outcomes with a sign of their own; any other is that no difference was found."""
UNDECIDED = "~: no difference found; one of the size next to it would probably have been"
TOO_SMALL = "( ): a difference that does not matter (--min-effect)"
TOO_FEW = "?: too few pairs to tell for so many figures"
NONE = "none: in no run; 0: in some, but in no more than half of them"
BY_PAIRS = "difference: estimated within pairs (Hodges–Lehmann), not between medians"


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
        ("", _two_percentages(comparison.get("outcome"))),
        (
            "order",
            f"at random, baseline first in {order} ({seed});"
            " layout of memory and environment were not varied",
        ),
    ]


def _two_percentages(outcome: object) -> str:
    """Return why the gain is not the change that the first sentence tells, if that tells one."""
    if outcome not in (*DECIDED, "too small"):
        return ""
    return "that is between two medians; the change above is by the ratios within pairs"


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
    unknown = sum(row.get("outcome") == "too few" for row in alike[room:])
    said = [
        BY_PAIRS,
        *_legend(shown),
        further(unknown, "with too few pairs"),
        further(len(alike[room:]) - unknown, "without a difference"),
        further(len(rest) if isinstance(rest, list) else 0, "not tested"),
    ]
    body = [*grid(lines, columns), *filter(None, said)]
    return ["", *titled("Difference per run, medians", body, style)]


def _legend(shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the signs mean that are in the table."""
    outcomes = [row.get("outcome") for row in shown]
    zeros = any(_is_0(row, name) and _occurs(row, name) for row in shown for name in COMPARED)
    return [
        NONE if zeros else "",
        TOO_SMALL if "too small" in outcomes else "",
        _too_few([row for row in shown if row.get("outcome") == "too few"]),
        UNDECIDED if any(one not in TOLD for one in outcomes) else "",
    ]


def _too_few(figures: Sequence[Mapping[str, Any]]) -> str:
    needed = [pairs for row in figures if (pairs := number(row.get("pairs_needed"))) is not None]
    if not figures:
        return ""
    return f"{TOO_FEW}: it takes at least {count(max(needed))}" if needed else TOO_FEW


def kind(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return what the figures are: those of wall time, and percentiles, are no sums over tasks."""
    kinds = {figure.get("kind") for figure in figures}
    of_wall_time = any(str(figure.get("name")).startswith("wall: ") for figure in figures)
    said = ["wall"] if of_wall_time else []
    said += ["sums", "percentiles"] if "percentile" in kinds else ["sums over tasks"]
    return ", ".join(said)


def further(figures: int, what: str) -> str:
    """Return how many figures are not shown, and why."""
    return f"{counted(figures, 'further figure')} {what}" if figures > 0 else ""


def _difference(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return name, medians, difference, and how certain it is; each of them is short."""
    note = f"n={count(row.get('pairs'))}"
    if row.get("outcome") != "too few":
        note = f"{p(row.get('adjusted_p'))} {note}"
    before, after = (_occurring(row, name) for name in COMPARED)
    return printable(row.get("name"), LONGEST_FIGURE), before, after, _told(row), note


def _told(row: Mapping[str, Any]) -> str:
    outcome, unit = row.get("outcome"), row.get("unit")
    seen = _signed(mapping(row.get("difference")).get("middle"), unit)
    if outcome in DECIDED:
        return seen
    if outcome == "too small":
        return f"({seen})"
    if outcome == "too few":
        return f"? {seen}"
    known = number(row.get("detectable")) is not None
    return f"~ {amount(row.get('detectable'), unit)}" if known else "~"


def _signed(value: object, unit: object) -> str:
    known = number(value)
    if known is None:
        return ABSENT
    return f"{'+' if known > 0 else '-' if known < 0 else ''}{amount(abs(known), unit)}"


def _occurring(row: Mapping[str, Any], name: str) -> str:
    """Return the median of one side: no number if there is nothing of it in any run."""
    return "none" if _occurs(row, name) == 0 else amount(row.get(name), row.get("unit"))


def _is_0(row: Mapping[str, Any], name: str) -> bool:
    return number(row.get(name)) == 0


def _occurs(row: Mapping[str, Any], name: str) -> float | None:
    """Return in how many runs of one side there is something of it."""
    occurs = row.get("occurs_in")
    if not isinstance(occurs, list) or len(occurs) != len(COMPARED):
        return None
    return number(occurs[COMPARED.index(name)])
