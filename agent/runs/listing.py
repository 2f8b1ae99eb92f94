"""A list of kept runs: a line for each call of ``run``, or what else was one run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from agent.store.rows import Summary
from agent.store.run import FINISHED, NO_VERDICT, SIDES
from agent.terminal.values import ABSENT, milliseconds, printable
from agent.terminal.width import cells, cut, left, right
from agent.words import Json

SHORT = 8
"""Characters of an id: enough to name it among many thousands."""
COMMIT = 8
"""Characters of a commit."""
VERSION = ("scenario", "impl", "variant", "commit")
HEADERS = ("id", "started", "runs", "time", "verdict", "what")
GAP = "  "
WORST_FIRST = ("invalid", NO_VERDICT, "degraded", "complete")


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
    """Return a time of this machine's zone, to the minute."""
    try:
        return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # a file may name the year 9999
        return ABSENT


def _time(runs: Sequence[Summary]) -> str:
    """Return the median wall time of each side, of the runs that count if any does."""
    counted = [run for run in runs if run.counts] or runs
    times = {
        side: [run.wall_ms for run in counted if run.side == side and run.wall_ms is not None]
        for side in (None, *SIDES)
    }
    return ", ".join(milliseconds(_median(known)) for known in times.values() if known) or ABSENT


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return (ordered[half] + ordered[~half]) / 2


def _verdict(runs: Sequence[Summary]) -> str:
    """Return the worst verdict, how many have it unless all do, and what is not finished."""
    verdicts = Counter(run.verdict for run in runs)
    worst = min(verdicts, key=lambda name: WORST_FIRST.index(name) if name in WORST_FIRST else -1)
    shown = printable(worst, 12)
    if len(verdicts) > 1:
        shown = f"{verdicts[worst]} {shown}"
    states = sorted({run.state for run in runs} - {FINISHED})
    return " ".join([shown, *states])


def _what(runs: Sequence[Summary]) -> str:
    """Return the labels that say which version it was, and the commands."""
    labels = dict(runs[0].labels)
    labels["commit"] = _short_commit(labels["commit"])
    if len(commands := dict.fromkeys(run.words for run in reversed(runs) if run.words)) > 1:
        labels["scenario"] = ""  # it names the side
    said = [printable(labels[name], 40) for name in VERSION if labels[name]]
    return "  ".join([*said, " vs ".join(printable(words, 200) for words in commands)]).strip()


def _short_commit(commit: str) -> str:
    begin, dash, rest = commit.partition("-")
    return begin[:COMMIT] + dash + rest
