"""Which runs the arguments of ``compare`` mean: files, ids, or labels that gather runs."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.comparison.comparable import not_counted
from agent.show.reading import STANDARD_INPUT, NotEvidence, evidence_at, wrong_with_schema
from agent.store.documents import runs_of, same_content
from agent.store.errors import NotFound, StoreError
from agent.store.run import IMPORT, KeptRun
from agent.store.selection import LAST, fields_of, is_selector
from agent.terminal.values import printable

BASELINE, OPTIMIZED = SIDES = ("baseline", "optimized")
LONGEST_QUOTED = 60
ID = re.compile(r"[0-9A-Za-z_-]{4,64}", re.ASCII)
"""What an id, or the beginning of one, can be."""
OF_ONE_SIDE = re.compile(r"(.+),side=(command|baseline|optimized)", re.DOTALL)
"""An id, ``last`` or a file, and which of its sides is meant; a selector says that itself."""


class NoRuns(Exception):
    """No runs, or not those that can be meant; the text says what to do."""


class Library(Protocol):
    """Where runs are kept. Both methods raise `StoreError` if nothing is meant."""

    def named(self, name: str) -> Sequence[KeptRun]:
        """Return the run, or the runs of the series, that an id or its beginning names."""

    def selected(self, fields: Mapping[str, str]) -> Sequence[KeptRun]:
        """Return the runs that have these values of `agent.store.selection.FIELDS`."""


Runs = Sequence[KeptRun]


def two_sides(arguments: Sequence[str], library: Library) -> tuple[Runs, Runs]:
    """Return the runs of baseline and optimized. Raises `NoRuns`.

    One argument alone is a series of ``run --baseline … --optimized …``, which has both.
    """
    if len(arguments) == 1:
        return _both_of(_found(arguments[0], library), arguments[0])
    before, after = (one_group(text, library) for text in arguments)
    _check_apart(before, after)
    return before, after


def one_group(text: str, library: Library) -> Runs:
    """Return the runs that one argument means, of one side. Raises `NoRuns`."""
    runs = _found(text, library)
    if {run.side for run in runs} >= set(SIDES):
        raise NoRuns(_both_in_one(text))
    _check_once(runs, text)
    return runs


def _check_once(runs: Runs, text: str) -> None:
    """Raise `NoRuns` if a run counts twice, as nothing gets more certain by that."""
    if twice := _twice(runs):
        raise NoRuns(f"{_quoted(text)} has the run {twice.id} twice: name it once")


def _both_of(runs: Runs, text: str) -> tuple[Runs, Runs]:
    before, after = ([run for run in runs if run.side == side] for side in SIDES)
    if not before or not after:
        raise NoRuns(
            f"{_quoted(text)} is no comparison: it has {_of_what(runs)}. Name the runs to"
            " compare it with, or compare it with itself: --aa"
        )
    _check_once(runs, text)
    return before, after


def _of_what(runs: Runs) -> str:
    """Return what runs are of, if not of both sides: a comparison may end before its second."""
    [side, *others] = {run.side for run in runs}
    if others or side not in SIDES:
        return "runs of one command"
    return f"runs of {side} only{not_counted(runs)}"


def _both_in_one(text: str) -> str:
    return (
        f"{_quoted(text)} has runs of a baseline and of what was compared with it: name it alone,"
        f" or choose one of the two, as in {_quoted(text)},side=optimized"
    )


def _twice(runs: Runs) -> KeptRun | None:
    """Return a run that is there twice: an id may be made by whoever read a file."""
    ids: set[str] = set()
    alike: defaultdict[tuple[str, float | None], list[KeptRun]] = defaultdict(list)
    for run in runs:
        others = alike[run.started_at, run.wall_ms]
        if run.id in ids or any(same_content(other, run) for other in others):
            return run
        ids.add(run.id)
        others.append(run)
    return None


def _check_apart(before: Runs, after: Runs) -> None:
    """Raise `NoRuns` if a run is on both sides: it would be compared with itself."""
    if same := _twice([*before, *after]):
        raise NoRuns(
            f"the run {same.id} is on both sides: narrow one of them down with a label, or compare"
            " one group with itself: --aa"
        )


def _found(text: str, library: Library) -> Runs:
    try:
        if not _is_file(text) and is_selector(text):
            return _selected(text, library)
        if not _is_file(text) and (found := OF_ONE_SIDE.fullmatch(text)):
            return _of_side(found[2], _found(found[1], library), text)
        parts = [text] if _is_file(text) else text.split(",")
        return [run for part in parts for run in _named(part.strip(), library)]
    except NotFound as error:  # says what is not
        raise NoRuns(str(error)) from error
    except StoreError as error:
        raise NoRuns(f"{_quoted(text)}: {error}") from error


def _of_side(side: str, runs: Runs, text: str) -> Runs:
    found = [run for run in runs if run.side == side]
    if not found:
        sides = sorted({run.side for run in runs if run.side}) or ["none"]
        raise NoRuns(f"{_quoted(text)} has no runs of that side; it has: {', '.join(sides)}")
    return found


def _selected(text: str, library: Library) -> Runs:
    runs = library.selected(fields_of(text))
    if not runs:
        raise NoRuns(f"no run has {_quoted(text)}: chainbench-agent runs list shows what is kept")
    return runs


def _named(name: str, library: Library) -> Runs:
    if not name:
        raise NoRuns("an empty name means no runs: give an id, a file, or label=value")
    if name == STANDARD_INPUT:
        return _of_file(name)
    if _is_file(name):
        _check_is_no_id(name, library)
        return _of_file(name)
    if "/" in name or name.endswith(".json"):
        raise NoRuns(f"there is no file {_quoted(name)}")
    return library.named(name)


def _check_is_no_id(name: str, library: Library) -> None:
    """Raise `NoRuns` for a file whose name is also the beginning of an id that is kept."""
    if not ID.fullmatch(name):
        return
    with contextlib.suppress(StoreError):
        library.named(name)
        raise NoRuns(
            f"{_quoted(name)} is a file here, and a run that is kept: say ./{_quoted(name)} for the"
            " file, or move it"
        )


def _is_file(text: str) -> bool:
    """Return whether a text means a file: what means the newest runs does so everywhere."""
    return "\0" not in text and not LAST.fullmatch(text) and os.path.exists(text)


def _of_file(name: str) -> Runs:
    try:
        document = evidence_at(name)
    except OSError as error:
        raise NoRuns(f"cannot read {_quoted(name)}: {error.strerror or error}") from None
    except NotEvidence as error:
        raise NoRuns(f"cannot read evidence from {_quoted(name)}: {error}") from None
    if wrong := wrong_with_schema(document):
        raise NoRuns(f"cannot compare {_quoted(name)}: {wrong}")
    runs = runs_of(document, IMPORT)
    if not runs:
        raise NoRuns(f"{_quoted(name)} has no runs: it is a series that ended before its first")
    return runs


def _quoted(text: str) -> str:
    return printable(text, LONGEST_QUOTED)
