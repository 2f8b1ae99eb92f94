"""A list of kept runs: a line for each call of ``run``, or what else was one run."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from statistics import median
from typing import TypeGuard

from agent.store.rows import Summary
from agent.store.run import ABORTED, FINISHED, NO_VERDICT, PARTIAL, SHORT, SIDES
from agent.terminal.values import ABSENT, milliseconds, printable
from agent.terminal.width import cells, cut, left, right
from agent.words import COMPLETE, DEGRADED, INVALID, Json

LISTED = 30
"""Lines of a list that is not asked for more."""
WIDEST_TIME = 24
"""Columns of two medians; nothing takes a time that needs more."""
COMMIT = 8
"""Characters of a commit."""
GIVEN = ("scenario", "impl", "variant")
MOCK = "mock"
"""The machine of synthetic events (``serve --mock``): no number of such a run was measured."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""As in the C locale, whatever the user's is: the list is made for 80 columns."""
IN_ORDER = (None, *SIDES)
"""Sides in the order in which their times and commands are listed."""
HEADERS = ("id", "started", "runs", "time", "verdict", "what")
GAP = "  "
FAILED = "failed"
"""Instead of the verdict of a run that does not count, although it ended by itself."""
WORST_FIRST = (PARTIAL, ABORTED, FAILED, INVALID, NO_VERDICT, DEGRADED, COMPLETE)


def grouped(runs: Iterable[Summary]) -> list[list[Summary]]:
    """Return the runs by entry, the entries in the order in which their first run comes."""
    entries: dict[str, list[Summary]] = {}
    for run in runs:
        entries.setdefault(run.series or run.id, []).append(run)
    return list(entries.values())


def listed(entries: Sequence[Sequence[Summary]], columns: int) -> str:
    """Return the list, no line wider than ``columns``, ending in a newline."""
    rows = [HEADERS, *map(_row, entries)]
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return "".join(f"{_line(row, widths, columns)}\n" for row in rows)


def as_json(entries: Sequence[Sequence[Summary]]) -> Json:
    """Return the runs one by one, each with all that a list can be made of."""
    return {"runs": [asdict(run) for runs in entries for run in runs]}


def _line(row: Sequence[str], widths: Sequence[int], columns: int) -> str:
    *first, what = row
    flush = (left, left, right, right, left)
    beginning = GAP.join(
        put(cell, width) for put, cell, width in zip(flush, first, widths[:-1], strict=True)
    )
    room = max(columns - cells(beginning) - len(GAP), 0)
    return cut((beginning + GAP + cut(what, room)).rstrip(), columns)


def _row(runs: Sequence[Summary]) -> tuple[str, ...]:
    newest = runs[0]
    own = newest.series or newest.id
    return (own[:SHORT], _when(newest.at), str(len(runs)), _time(runs), _verdict(runs), _what(runs))


def _when(at: float) -> str:
    """Return a time of this machine's zone as ls(1) does: the hour this year, else the year."""
    try:
        began, now = datetime.fromtimestamp(at), datetime.now()
    except (ValueError, OverflowError, OSError):  # a file may name the year 9999
        return ABSENT
    day = f"{MONTHS[began.month - 1]} {began.day:2}"
    return f"{day} {began:%H:%M}" if began.year == now.year else f"{day}  {began.year}"


def _time(runs: Sequence[Summary]) -> str:
    """Return the median wall time of each side, of the runs that count if any does."""
    counted = [run for run in runs if run.counts] or runs
    times = {
        side: [run.wall_ms for run in counted if run.side == side and _is_time(run.wall_ms)]
        for side in IN_ORDER
    }
    shown = ", ".join(milliseconds(median(known)) for known in times.values() if known)
    return cut(shown or ABSENT, WIDEST_TIME)


def _is_time(ms: float | None) -> TypeGuard[float]:
    """Return whether something can have taken so long; a file may say anything."""
    return ms is not None and ms > 0


def _verdict(runs: Sequence[Summary]) -> str:
    """Return what is not finished, what failed, or else the worst verdict; of how many unless all.

    What ended a command that does not count follows: ``failed (3)``.
    """
    by_ending: dict[str, list[Summary]] = {}
    for run in runs:
        by_ending.setdefault(_ending(run), []).append(run)
    worst = min(by_ending, key=lambda name: WORST_FIRST.index(name) if name in WORST_FIRST else -1)
    those = by_ending[worst]
    shown = printable(worst, 12) + _why(those)
    return shown if len(by_ending) == 1 else f"{len(those)} {shown}"


def _ending(run: Summary) -> str:
    if run.state != FINISHED:
        return run.state
    return run.verdict if run.counts else FAILED


def _why(runs: Sequence[Summary]) -> str:
    """Return the signal or the status that all of these ended with, unless they count."""
    ends = {run.signal or str(run.exit_status or "") for run in runs if not run.counts}
    why = printable(ends.pop(), 12) if len(ends) == 1 else ""
    return f" ({why})" if why else ""


def _what(runs: Sequence[Summary]) -> str:
    """Return the labels that somebody gave, the commands, and the commit; before them, ``mock``."""
    labels = dict(runs[0].labels)
    by_side = [run for side in IN_ORDER for run in reversed(runs) if run.side == side]
    commands = dict.fromkeys(run.words for run in by_side if run.words)
    if len(commands) > 1:
        labels["scenario"] = ""  # it names the side
    said = [MOCK] if any(run.labels["machine"] == MOCK for run in runs) else []
    said += [printable(labels[name], 40) for name in GIVEN if labels[name]]
    said.append(" vs ".join(printable(words, 200) for words in commands))
    said.append(printable(_short_commit(labels["commit"]), 40))
    return GAP.join(filter(None, said))


def _short_commit(commit: str) -> str:
    begin, dash, rest = commit.partition("-")
    return begin[:COMMIT] + dash + rest
