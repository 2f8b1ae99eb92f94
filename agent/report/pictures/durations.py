"""How long each run took, in the order of the runs: the spread, and whether there is a drift."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent.report.drawing import LOOKS, MUTED, blank, drawn, hatched, labels, legend
from agent.report.numbers import drawable
from agent.report.picture import Picture, Table
from agent.report.subject import Observed, Side, Subject
from agent.show.amounts import ms
from agent.terminal.values import ABSENT, mapping, milliseconds, printable

NAME, TITLE = "durations", "How long each run took"
MOST_JOINED = 100
"""Pairs; with more the lines between them would be one surface."""
UNKNOWN = "no run has a wall time that is known"


def durations(subject: Subject) -> Picture | None:
    """Return the picture; None for one run, whose duration is a number."""
    if sum(len(side.runs) for side in subject.sides) < 2:
        return None
    known = any(run.wall_ms is not None for side in subject.sides for run in side.runs)
    draw = (lambda axes: _draw(axes, subject)) if known else (lambda axes: blank(axes, UNKNOWN))
    return Picture(
        NAME,
        TITLE,
        drawn(NAME, TITLE, _said(subject), draw),
        [_table(side) for side in subject.sides],
        _notes(subject),
    )


def _said(subject: Subject) -> str:
    medians = ", ".join(
        f"{side.name} {ms(_median(side).get('middle'))}" for side in subject.sides if side.described
    )
    return f"Wall time by run, for each side. Medians: {medians or 'not known'}."


def _median(side: Side) -> Mapping[str, Any]:
    return mapping(mapping(side.described.get("wall_ms")).get("median"))


def _draw(axes: Axes, subject: Subject) -> None:
    if subject.is_paired:
        _join(axes, subject)
    for side in subject.sides:
        _points(axes, side)
        _middle(axes, side)
    axes.set_xlabel("round" if subject.is_paired else "run")
    axes.set_ylabel("wall time")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    labels(axes.xaxis, lambda value: f"{value:.0f}")
    labels(axes.yaxis, milliseconds)
    legend(axes)


def _points(axes: Axes, side: Side) -> None:
    look = LOOKS[side.name]
    for counts, filling, label in ((True, "full", side.name), (False, "none", None)):
        points = [
            (run.number, run.wall_ms)
            for run in side.runs
            if run.counts is counts and run.wall_ms is not None
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                linestyle="none",
                marker=look.marker,
                color=look.color,
                fillstyle=filling,
                label=label,
            )
    for run in side.runs:
        if run.wall_ms is None:
            left, right = run.number - 0.3, run.number + 0.3
            hatched(axes, left, 0, right, 1, axes.get_xaxis_transform())


def _middle(axes: Axes, side: Side) -> None:
    """Draw the median of the runs that count, and its interval where there is one."""
    look, median = LOOKS[side.name], _median(side)
    low, middle, high = (drawable(median.get(name)) for name in ("low", "middle", "high"))
    if middle is not None:
        axes.axhline(middle, color=look.color, linestyle=look.dashes, linewidth=1)
    if low is not None and high is not None:
        axes.axhspan(low, high, color=look.color, alpha=0.15, linewidth=0)


def _join(axes: Axes, subject: Subject) -> None:
    """Join both runs of each round."""
    first, second = (
        {run.number: run.wall_ms for run in side.counted if run.wall_ms is not None}
        for side in subject.sides
    )
    both = [number_of for number_of in first if number_of in second]
    if 0 < len(both) <= MOST_JOINED:
        axes.vlines(
            both, [first[n] for n in both], [second[n] for n in both], color=MUTED, linewidth=0.7
        )


def _notes(subject: Subject) -> list[str]:
    notes = [
        "Line and band: median and its 95 % interval, where there are enough runs for one. The"
        " axis of times need not begin at 0."
    ]
    if subject.is_paired:
        notes[0] = f"Both runs of a pair are joined. {notes[0]}"
    for side in subject.sides:
        left_out = [str(run.number) for run in side.runs if not run.counts]
        unknown = [str(run.number) for run in side.runs if run.wall_ms is None]
        if left_out:
            notes.append(
                f"{side.name}: hollow, and in no other figure, since they failed or were"
                f" interrupted: {', '.join(left_out)}."
            )
        if unknown:
            notes.append(f"{side.name}: hatched, since no time is known: {', '.join(unknown)}.")
    return notes


def _table(side: Side) -> Table:
    return Table(
        f"Runs of {side.name}",
        ("run", "wall time", "user", "system", "ended", "counts"),
        [_row(run) for run in side.runs],
    )


def _row(run: Observed) -> Sequence[str]:
    times = [ms(run.command.get(f"{name}_ms")) for name in ("wall", "user", "system")]
    return (str(run.number), *times, _end(run), "yes" if run.counts else "no")


def _end(run: Observed) -> str:
    if run.command.get("signal") is not None:
        return printable(run.command.get("signal"), 20)
    status = run.command.get("exit_status")
    return ABSENT if status is None else f"status {printable(status, 12)}"
