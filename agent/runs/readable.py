"""What can still be read of a store that is partly damaged."""

from agent.store.documents import document_of
from agent.store.errors import Damaged
from agent.store.run import KeptRun
from agent.store.selection import Selection
from agent.store.store import Entry, Store
from agent.words import Json


def what_can_be_read(store: Store, entry: Entry, damaged: list[Damaged]) -> Json | None:
    """Return the document of an entry, of a series with those runs that can be read; or None.

    What cannot be read is added to ``damaged``. Raises `StoreError`.
    """
    try:
        series = store.series(entry.id) if entry.is_series else None
    except Damaged as error:
        damaged.append(error)
        return None
    runs = _runs(store, entry, damaged)
    return document_of(runs, series) if runs else None


def _runs(store: Store, entry: Entry, damaged: list[Damaged]) -> list[KeptRun]:
    try:
        return store.runs(entry)
    except Damaged as error:
        if not entry.is_series:
            damaged.append(error)
            return []
    return [
        run for member in _members(store, entry, damaged) for run in _runs(store, member, damaged)
    ]


def _members(store: Store, series: Entry, damaged: list[Damaged]) -> list[Entry]:
    """Return the runs of a series, in their order."""
    try:
        found = list(store.find(Selection(fields={"series": series.id})))
    except Damaged as error:
        damaged.append(error)
        return []
    found.sort(key=lambda run: run.number)
    return [Entry(run.id, is_series=False) for run in found]
