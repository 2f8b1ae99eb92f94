"""What people call kept runs by: ids and their beginnings, ``last``, commits."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from agent.store.errors import NotFound
from agent.store.selection import FEWEST, LAST, Selection

JOINED = "FROM runs LEFT JOIN series ON series.number = runs.series"
MOST_NAMED = 5
"""Ids that a complaint names."""
ABBREVIATED = {"commit": 'runs."commit"', "series": "series.id"}
"""Fields of a selection whose values people abbreviate, and their columns."""

_ENTRIES = f"""
SELECT coalesce(series.id, runs.id), series.id NOTNULL {JOINED}
GROUP BY coalesce(runs.series, -runs.number) ORDER BY max(runs.at) DESC, max(runs.number) DESC
LIMIT 1 OFFSET ?
"""


class Entry(NamedTuple):
    """A series, or one run, by its id."""

    id: str
    is_series: bool


def entry(connection: sqlite3.Connection, text: str) -> Entry:
    """Return what an id, the beginning of one, ``last`` or ``last~1`` names.

    Raises `NotFound` if there is none, or more than one, and sqlite3.Error.
    """
    if last := LAST.fullmatch(text):
        found = connection.execute(_ENTRIES, [int(last[1] or 0)]).fetchone()
        if found is None:
            raise NotFound(f"there is no {text}: fewer are kept")
        return Entry(found[0], bool(found[1]))
    if len(text) < FEWEST:
        raise NotFound(f"{text!r} is too short for the beginning of an id ({FEWEST} characters)")
    known = [
        *_beginning_with(connection, text, "series"),
        *_beginning_with(connection, text, "runs"),
    ]
    meant = [one for one in known if one.id == text] or known
    if len(meant) != 1:
        what = f"of {_listed([one.id for one in meant])}" if meant else "of no id that is kept"
        raise NotFound(f"{text} is the beginning {what}: runs list shows them")
    return meant[0]


def in_full(connection: sqlite3.Connection, selection: Selection) -> Selection:
    """Return a selection whose commit and series are in full. Raises `NotFound` if several are."""
    full = {
        name: _in_full(connection, name, given)
        for name in ABBREVIATED
        if (given := selection.fields.get(name))
    }
    return replace(selection, fields={**selection.fields, **full})


def _beginning_with(connection: sqlite3.Connection, text: str, table: str) -> list[Entry]:
    query = f"SELECT id FROM {table} WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 100"
    found = connection.execute(query, [len(text), text]).fetchall()
    return [Entry(own, table == "series") for (own,) in found]


def _in_full(connection: sqlite3.Connection, name: str, given: str) -> str:
    """Return the only value that begins so, or what was given if it is one or none begins so."""
    column = ABBREVIATED[name]
    query = f"SELECT DISTINCT {column} {JOINED} WHERE substr({column}, 1, ?) = ? ORDER BY 1"
    known = [value for (value,) in connection.execute(query, [len(given), given]).fetchall()]
    if given in known or not known:
        return given
    if len(known) > 1:
        raise NotFound(f"{name}={given} is the beginning of {_listed(known)}: give more of it")
    return str(known[0])


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return ", ".join(ids[:MOST_NAMED]) + more
