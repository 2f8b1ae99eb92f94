"""The figures of a comparison or of a series, as tables."""

from collections.abc import Mapping
from typing import Any

from agent.report.picture import Table
from agent.report.subject import Side, Subject
from agent.show.amounts import amount, between, p
from agent.show.differences import COMPARED, figure_name, medians
from agent.show.sides import BOUNDS, bound_of
from agent.terminal.values import ABSENT, count, mapping, number, printable, rows

LONGEST_NAME = 40
OUTCOMES = {
    "smaller": "less",
    "larger": "more",
    "too small": "too small to matter",
    "undecided": "no difference found",
    "too few": "too few runs to tell",
}


def tested(subject: Subject) -> list[tuple[str, Table]]:
    """Return the tables of what was compared, or else of what each side has; with titles."""
    listed = rows(subject.comparison.get("figures"))
    if not listed:
        return [
            (f"Per run: {side.name}", _of_side(side)) for side in subject.sides if _listed(side)
        ]
    rest = subject.comparison.get("not_tested")
    further = (
        f"; {len(rest)} further ones were not tested" if isinstance(rest, list) and rest else ""
    )
    header = ("figure", "baseline", "optimized", "difference", "95 % interval", "p", "result")
    caption = f"Medians per run; p adjusted for the number of figures{further}"
    one_sided = [
        _on_one_side(row, name)
        for name in ("appeared", "vanished")
        for row in rows(subject.comparison.get(name))
    ]
    tables = [("What was tested", Table(caption, header, [_compared(row) for row in listed]))]
    if one_sided:
        columns = ("figure", "", "in runs of baseline", "of optimized", "median where it occurs")
        tables.append(("What appeared or vanished", Table("Not tested", columns, one_sided)))
    if lower := rows(subject.comparison.get("at_least")):
        listed_so = [(figure_name(row, LONGEST_NAME), *medians(row)) for row in lower]
        not_compared = Table("Lower bounds, so not compared", ("figure", *COMPARED), listed_so)
        tables.append(("At least", not_compared))
    return tables


def _compared(row: Mapping[str, Any]) -> tuple[str, ...]:
    unit, found = row.get("unit"), mapping(row.get("difference"))
    outcome = row.get("outcome")
    return (
        figure_name(row, LONGEST_NAME),
        amount(row.get("baseline"), unit),
        amount(row.get("optimized"), unit),
        _signed(found.get("middle"), unit),
        _interval(found, unit),
        p(row.get("adjusted_p")).removeprefix("p").removeprefix("=").strip(),
        OUTCOMES.get(str(outcome), printable(outcome, LONGEST_NAME)),
    )


def _on_one_side(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    occurs, runs = row.get("occurs_in"), row.get("runs")
    listed = (
        zip(occurs, runs, strict=False)
        if isinstance(occurs, list) and isinstance(runs, list)
        else []
    )
    cells = [f"{count(some)} of {count(all_)}" for some, all_ in listed][:2]
    name_of = figure_name(row, LONGEST_NAME)
    return (name_of, name, *(cells or [ABSENT, ABSENT]), amount(row.get("median"), row.get("unit")))


def _signed(value: object, unit: object) -> str:
    known = number(value)
    return f"{'+' if known and known > 0 else ''}{amount(value, unit)}"


def _interval(found: Mapping[str, Any], unit: object) -> str:
    low, high = found.get("low"), found.get("high")
    known = number(low) is not None and number(high) is not None
    return between(low, high, unit) if known else ABSENT


def _listed(side: Side) -> list[Mapping[str, Any]]:
    return rows(side.described.get("figures"))


def _of_side(side: Side) -> Table:
    listed = [
        (
            figure_name(row, LONGEST_NAME),
            count(row.get("runs")),
            bound_of(row) + amount(mapping(row.get("median")).get("middle"), row.get("unit")),
            _interval(mapping(row.get("median")), row.get("unit")),
            between(row.get("lowest"), row.get("highest"), row.get("unit")),
        )
        for row in _listed(side)
    ]
    header = ("figure", "runs", "median", "95 % interval", "range")
    caption = "Sums over the tasks of a run; states of the wall time"
    legend = f"; {BOUNDS}" if any(map(bound_of, _listed(side))) else ""
    return Table(f"{caption}{legend}", header, listed)
