"""Which kept runs are meant by the arguments of a command."""

import argparse
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from agent.store.errors import NotFound, StoreError
from agent.store.run import SHORT, STATES
from agent.store.selection import Selection, fields_of, is_selector
from agent.store.store import Entry, Store
from agent.terminal.values import FEW

AGE = re.compile(r"([0-9]{1,6})(m|h|d|w)", re.ASCII)
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Wanted(NamedTuple):
    """Runs as the arguments of a command name them: ids and selectors, and times."""

    names: Sequence[str]
    since: float | None = None
    until: float | None = None

    @property
    def ids(self) -> list[str]:
        return [name for name in self.names if not is_selector(name)]

    @property
    def selected(self) -> Selection | None:
        """What selectors say, or times alone; None if there are neither. Raises `StoreError`."""
        selectors = [name for name in self.names if is_selector(name)]
        if not selectors and self.since is None and self.until is None:
            return None
        return selection_of(self._replace(names=selectors))


def selection_of(wanted: Wanted) -> Selection:
    """Return what a list shows: the runs that have all of what the selectors say.

    Raises `StoreError` for what is not a selector, and for two values of one name.
    """
    fields: dict[str, str] = {}
    for text in wanted.names:
        for name, value in fields_of(text).items():
            if fields.setdefault(name, value) != value:
                raise StoreError(
                    f"{name} is given twice, and a run has one: ask for each by itself"
                )
    return Selection(fields=fields, since=wanted.since, until=wanted.until)


def entries_of(store: Store, wanted: Wanted) -> list[Entry]:
    """Return the entries that ids and selectors name, each of them once.

    A selector names all entries of which a run has what it says, and so do times alone. Raises
    `NotFound` for one that names nothing.
    """
    found = [store.entry(name) for name in wanted.ids]
    if (selection := wanted.selected) is not None:
        selected = _selected(store, selection)
        if not selected:
            raise NotFound(f"{none_like(wanted)}: runs list shows what is kept")
        found += selected
    return list(dict.fromkeys(found))


def none_like(wanted: Wanted) -> str:
    """Return that no run is as wanted; of a state that is asked for as a verdict, how to ask.

    A list shows both in one column. Raises `StoreError` as `selection_of`.
    """
    selection = wanted.selected
    if selection is None:
        return "no runs are kept"
    asked = selection.fields.get("verdict")
    hint = f" ({asked} is a state, not a verdict: state={asked})" if asked in STATES else ""
    return f"no kept run has all of that{hint}"


def check_one(ids: Sequence[str]) -> None:
    """Raise `NotFound` if a selector means more than one run or series, as one is shown."""
    if len(ids) > 1:
        named = ", ".join(name[:SHORT] for name in ids[:FEW])
        more = ", …" if len(ids) > FEW else ""
        raise NotFound(f"{len(ids)} have all of that ({named}{more}): show one of them by its id")


def _selected(store: Store, selection: Selection) -> list[Entry]:
    return [
        Entry(run.series, is_series=True) if run.series else Entry(run.id, is_series=False)
        for run in store.find(selection)
    ]


def moment(text: str) -> float:
    """Return a time in seconds since 1970: ``7d`` ago, or a date and time, of this time zone.

    Raises ArgumentTypeError.
    """
    if found := AGE.fullmatch(text):
        return time.time() - int(found[1]) * SECONDS[found[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"a time is an age (30m, 12h, 7d, 2w) or a date (2026-03-01), not {text[:40]!r}"
        ) from None
