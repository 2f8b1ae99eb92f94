"""The runs that are kept for this user, as ``compare`` looks for them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.store.documents import min_effect_in, seed_in
from agent.store.errors import StoreError, require_sqlite
from agent.store.run import KeptRun
from agent.store.selection import Selection

if TYPE_CHECKING:
    from agent.store.rows import Summary
    from agent.store.store import Store


class OwnStore:
    """The store of this user. It is opened by the first question: files alone need none."""

    def __init__(self) -> None:
        self._store: Store | None = None

    def named(self, name: str) -> Sequence[KeptRun]:
        """Return the run, or the runs of the series, of an id. Raises `StoreError`."""
        store = self._opened()
        return self._with_plan(store.runs(store.entry(name)))

    def selected(self, fields: Mapping[str, str]) -> Sequence[KeptRun]:
        """Return the runs that have these values. Raises `StoreError`."""
        return self._with_plan(self._opened().select(Selection(fields)))

    def listed(self) -> "Iterator[Summary]":
        """Yield what a list shows of each run, the newest first. Raises `StoreError`."""
        return self._opened().find(Selection())

    def _with_plan(self, runs: Sequence[KeptRun]) -> Sequence[KeptRun]:
        """Return runs with what their series recorded, if all are of one: others are no pairs."""
        [*series] = {run.series for run in runs}
        if len(series) != 1 or series[0] is None:
            return runs
        with contextlib.suppress(StoreError):  # the runs can be compared all the same
            if found := self._opened().series(series[0]):
                seed, least = seed_in(found.summary), min_effect_in(found.summary)
                return [replace(run, seed=seed, min_effect=least) for run in runs]
        return runs

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _opened(self) -> "Store":
        require_sqlite()
        from agent.store.opening import open_to_read
        from agent.store.place import default_path

        self._store = self._store or open_to_read(default_path())
        return self._store
