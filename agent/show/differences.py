"""What differs between two commands, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.amounts import amount, p
from agent.show.certain import DECIDED, STATE, state_of_cause
from agent.show.layout import titled
from agent.show.wall import WORDS
from agent.terminal.charts import grid
from agent.terminal.style import Style
from agent.terminal.values import ABSENT, FEW, count, counted, mapping, number, printable
from agent.terminal.values import rows as objects
from agent.terminal.width import cells, left

SHOWN_FIGURES = 8
LONGEST_FIGURE = 24
COMPARED = ("baseline", "optimized")
TOLD = (*DECIDED, "too small", "too few")
"""Outcomes with a sign of their own; any other is that no difference was found."""
UNDECIDED = "~: no difference found; one of the size next to it would probably have been"
TOO_SMALL = "( ): a difference that does not matter (--min-effect)"
NONE = "none: in no run; 0: in some, but in no more than half of them"
OF_STATES = "wall: of the run as a whole, not summed over its tasks"
BY_PAIRS = "difference: estimated within pairs (Hodges–Lehmann), not between medians"
BY_GROUPS = "difference: of any two runs (Hodges–Lehmann–Sen), not between medians"


def differences(
    comparison: Mapping[str, Any], columns: int, style: Style, room: int | None = SHOWN_FIGURES
) -> list[str]:
    """Return the figures that differ, and of the others the largest: ``room`` in all, or each."""
    listed = objects(comparison.get("figures"))
    differing = ranked(comparison)
    alike = [row for row in listed if row.get("outcome") not in DECIDED]
    shown_alike = alike if room is None else alike[: max(room - len(differing), 0)]
    shown = [*differing, *shown_alike]
    body = [
        *(_table(shown, columns) if shown else []),
        *notes_on_figures(comparison, shown, alike[len(shown_alike) :]),
    ]
    return ["", *titled("Difference per run, medians", body, style)] if body else []


def notes_on_figures(
    comparison: Mapping[str, Any],
    shown: Sequence[Mapping[str, Any]],
    rest: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return how to read the figures that are shown, and how many are not, and why."""
    said = [
        *(_about(comparison, shown) if shown else []),
        *_not_shown(rest),
        further(_length(comparison.get("not_tested")), "not tested"),
        at_least(objects(comparison.get("at_least"))),
    ]
    one = "further figure" if shown else "figure"
    return [note.replace("further figure", one, 1) for note in said if note]


def at_least(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return what was seen of figures that are lower bounds; nothing can be concluded of them."""
    told = [f"{figure_name(row)} {', '.join(medians(row))}" for row in figures[:FEW]]
    if not told:
        return ""
    more = f"; {len(figures) - FEW} more" if len(figures) > FEW else ""
    return f"at least, so not compared (baseline, optimized): {'; '.join(told)}{more}"


def medians(row: Mapping[str, Any]) -> list[str]:
    """Return the medians of both sides, 0 as it is."""
    return [amount(row.get(side), row.get("unit")) for side in COMPARED]


def ranked(comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the figures that differ, first those that mean most for the wall time, if known."""
    changed = objects(comparison.get("changed"))
    places = {str(row.get("name")): place for place, row in enumerate(changed)}
    differing = [r for r in objects(comparison.get("figures")) if r.get("outcome") in DECIDED]
    return sorted(differing, key=lambda row: places.get(str(row.get("name")), len(places)))


def _table(shown: Sequence[Mapping[str, Any]], columns: int) -> list[str]:
    found = [figure_cells(row) for row in shown]
    notes = max(cells(note) for *_, note in found)
    return grid(
        [
            (kind(shown), "baseline", "optimized", "difference", ""),
            *((*row, left(note, notes)) for *row, note in found),
        ],
        columns,
    )


def _about(comparison: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how the differences are estimated, and what the signs mean that are in the table."""
    zeros = any(_is_0(row, name) and _occurs(row, name) for row in shown for name in COMPARED)
    return [
        BY_GROUPS if comparison.get("method") == "groups" else BY_PAIRS,
        OF_STATES if any(str(row.get("name")).startswith(STATE) for row in shown) else "",
        NONE if zeros else "",
        *signs(shown, comparison),
    ]


def signs(shown: Sequence[Mapping[str, Any]], comparison: Mapping[str, Any]) -> list[str]:
    """Return what the signs mean that stand before differences, and what they do not."""
    outcomes = [row.get("outcome") for row in shown]
    said = [
        TOO_SMALL if "too small" in outcomes else "",
        _too_few([row for row in shown if row.get("outcome") == "too few"]),
        UNDECIDED if any(one not in TOLD for one in outcomes) else "",
        state_of_cause(shown, comparison),
    ]
    return list(filter(None, said))


def _too_few(figures: Sequence[Mapping[str, Any]]) -> str:
    if not figures:
        return ""
    what, needed = _needed(figures)
    return f"?: too few {what} to tell for so many figures{needed}"


def _needed(figures: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return what there are too few of, and how many it takes, if that is known."""
    what = "pairs" if all(number(row.get("pairs")) is not None for row in figures) else "runs"
    needed = most_needed(figures)
    return what, f": it takes at least {count(needed)}" if needed else ""


def most_needed(figures: Sequence[Mapping[str, Any]]) -> float:
    """Return how many pairs, or runs of each side, it takes to test all of these; 0 if unknown."""
    found = [number(row.get(f"{what}_needed")) for row in figures for what in ("pairs", "runs")]
    return max((needed for needed in found if needed is not None), default=0.0)


def _not_shown(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    unknown = [row for row in figures if row.get("outcome") == "too few"]
    what, needed = _needed(unknown)
    known = _known(unknown, what)
    return [
        further(len(unknown), f"{'known in' if known else 'with'} too few {what}{known}{needed}"),
        further(len(figures) - len(unknown), "without a difference"),
    ]


def _known(figures: Sequence[Mapping[str, Any]], what: str) -> str:
    """Return in how many pairs, or runs of either side, figures are known: fewer than were made."""
    sizes = [_length_of(row) for row in figures]
    known = [size for size in sizes if size is not None]
    if not known:
        return ""
    fewest, most = min(known), max(known)
    sizes_of = count(most) if fewest == most else f"{count(fewest)} to {count(most)}"
    of = "" if what == "pairs" else " of a side"
    return f" ({sizes_of}{of})"


def _length_of(row: Mapping[str, Any]) -> float | None:
    """Return the number of pairs, or of the runs of the smaller group, that have a figure."""
    if (pairs := number(row.get("pairs"))) is not None:
        return pairs
    runs = row.get("runs")
    sizes = [number(size) for size in runs] if isinstance(runs, list) else []
    return min((size for size in sizes if size is not None), default=None)


def _length(listed: object) -> int:
    return len(listed) if isinstance(listed, list) else 0


def kind(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return what the figures are: those of wall time, and percentiles, are no sums over tasks."""
    of_wall_time = any(str(figure.get("name")).startswith(STATE) for figure in figures)
    percentiles = any(figure.get("kind") == "percentile" for figure in figures)
    said = ["wall"] if of_wall_time else []
    said += ["sums", "percentiles"] if percentiles else ["sums over tasks"]
    return ", ".join(said)


def further(figures: int, what: str) -> str:
    """Return how many figures are not shown, and why."""
    return f"{counted(figures, 'further figure')} {what}" if figures > 0 else ""


def figure_name(row: Mapping[str, Any], longest: int = LONGEST_FIGURE) -> str:
    """Return the name of a figure; a state of the wall time has that of the budget."""
    name = str(row.get("name"))
    state = WORDS.get(name.removeprefix(STATE)) if name.startswith(STATE) else None
    return f"{STATE}{state}" if state else printable(name, longest)


def figure_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return name, medians, difference, and how certain it is; each of them is short."""
    note = f"n={_size(row)}"
    if row.get("outcome") != "too few":
        note = f"{p(row.get('adjusted_p'))} {note}"
    before, after = (occurring(row, name) for name in COMPARED)
    return figure_name(row), before, after, difference(row), note


def _size(row: Mapping[str, Any]) -> str:
    """Return the number of pairs, or of the runs of both groups, that have a figure."""
    runs = row.get("runs")
    if number(row.get("pairs")) is not None or not isinstance(runs, list):
        return count(row.get("pairs"))
    return "+".join(map(count, runs))


def difference(row: Mapping[str, Any]) -> str:
    """Return the difference of a figure, with the sign of its outcome."""
    outcome, unit = row.get("outcome"), row.get("unit")
    seen = signed(mapping(row.get("difference")).get("middle"), unit)
    if outcome in DECIDED:
        return seen
    if outcome == "too small":
        return f"({seen})"
    if outcome == "too few":
        return f"? {seen}"
    known = number(row.get("detectable"))  # 0: all runs are alike
    return f"~ {amount(row.get('detectable'), unit)}" if known else "~"


def signed(value: object, unit: object) -> str:
    known = number(value)
    if known is None:
        return ABSENT
    return f"{'+' if known > 0 else '-' if known < 0 else ''}{amount(abs(known), unit)}"


def occurring(row: Mapping[str, Any], name: str) -> str:
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
