"""A series of runs as text: what the runs of each command say together, and how they compare.

The document may come from any version of the agent, and from anyone, as evidence may. It is that of
``run --runs --json``, or of ``compare --json``, in which only what differs is of interest.
"""

from collections.abc import Mapping
from typing import Any

from agent.show.amounts import percent
from agent.show.appeared import appeared
from agent.show.budget import both_budgets, made_up_of
from agent.show.comparison import about, sentence
from agent.show.differences import SHOWN_FIGURES, differences
from agent.show.everything import fields
from agent.show.finished import left_behind
from agent.show.fleet import of_series
from agent.show.header import timing
from agent.show.kept import banners, how_compared, is_of_compare, split
from agent.show.layout import MARGIN, table, titled
from agent.show.shift import shifts
from agent.show.sides import figures_of, histograms_of, side_lines
from agent.terminal.style import Style
from agent.terminal.values import count, mapping, number, printable
from agent.terminal.values import rows as objects
from agent.terminal.width import fit


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
    compared, sides = mapping(document.get("compared")), mapping(document.get("sides"))
    parts = [*_banner(document, style), sentence(plan, comparison, style, compared)]
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
                ("machines", of_series(document)),
                ("parts", made_up_of(comparison)),
                *about(plan, comparison, compared),
                *how_compared(document),
            ],
            columns,
        ),
        *_compared(document, comparison, columns, style, whole),
        *_sides(document, columns, style, whole),
    ]
    if everything:
        parts.append(["", *titled("Everything in the file", fields(document, columns), style)])
    return fit("\n".join("\n".join(part) for part in parts if part) + "\n", screen)


def _compared(
    document: Mapping[str, Any],
    comparison: Mapping[str, Any],
    columns: int,
    style: Style,
    whole: bool,
) -> list[list[str]]:
    """Return what differs: right after the runs that is the figures, also those that may not."""
    if whole:
        room = None
    else:
        room = 0 if is_of_compare(document) else SHOWN_FIGURES
    table_of_figures = differences(comparison, columns, style, room)
    if not whole and not is_of_compare(document):
        return [table_of_figures]
    return [
        both_budgets(comparison, columns, style),
        table_of_figures,
        appeared(comparison, columns, whole),
        *shifts(comparison, columns, style, whole),
    ]


def _sides(document: Mapping[str, Any], columns: int, style: Style, whole: bool) -> list[list[str]]:
    """Return the figures of each side, unless they are compared, and the histograms."""
    parts: list[list[str]] = []
    for name, side in mapping(document.get("sides")).items():
        if whole or not mapping(document.get("comparison")):
            parts.append(figures_of(name, mapping(side), columns, style, whole))
        if whole:
            parts += histograms_of(name, mapping(side), columns, style)
    return parts


def _banner(document: Mapping[str, Any], style: Style) -> list[list[str]]:
    """Return what must not be overlooked."""
    told = [*map(style.bad, banners(document)), *filter(None, [split(document)])]
    return [[*told, ""]] if told else []


def _timing(document: Mapping[str, Any]) -> str:
    said = (timing(mapping(run.get("evidence"))) for run in objects(document.get("runs")))
    return next(filter(None, said), "")


def _left(document: Mapping[str, Any]) -> str:
    """Return what still ran after the last run, by whichever run it was started."""
    runs = [] if is_of_compare(document) else objects(document.get("runs"))
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
