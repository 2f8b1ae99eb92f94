"""What a service has kept, for its clients.

Each answer opens the store, reads and closes it in one thread: that takes a few milliseconds, and a
store that has been replaced meanwhile, or cannot be read for now, needs no further care. Of a run
that waits to be written, on a full disk for example, the store has an earlier state or nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from agent.errors import AgentError, InvalidRequest, check_owner
from agent.keeping.hlog import hlog
from agent.keeping.keeper import StoreKeeper
from agent.model import RunsRequest
from agent.store.documents import document_of
from agent.store.errors import NoStore, NotFound, StoreError
from agent.store.opening import in_memory, open_to_read
from agent.store.rows import Summary
from agent.store.run import KeptRun
from agent.store.selection import Selection
from agent.store.store import Entry, Store
from agent.words import Json

T = TypeVar("T")


class StoreReader:
    """The implementation of `agent.http.api.RunsAPI`."""

    def __init__(self, path: Path, keeper: StoreKeeper) -> None:
        """``keeper``: what has the store open to write."""
        self._path = path
        self._keeper = keeper
        # one at a time: a second one would wait for the same disk
        self._limiter = trio.CapacityLimiter(1)

    async def page(self, wanted: RunsRequest) -> Json:
        waiting = self._keeper.all_waiting()
        selection = Selection(
            fields=_fields(wanted),
            since=wanted.since,
            until=wanted.until,
            owner=wanted.owner,
            copies=wanted.copies,
            before=wanted.before,
            limit=wanted.limit + 1 + len(waiting),
        )
        found = await self._found(selection, waiting)
        shown = found[: wanted.limit]
        place = f"{shown[-1].at!r},{shown[-1].number}" if len(found) > len(shown) else None
        return {"runs": [_listed(run) for run in shown], "next": place}

    async def evidence(self, run_id: str, owner: int | None) -> Json | None:
        run = await self._run(run_id, owner)
        return None if run is None else document_of([run], None)

    async def hlog(self, run_id: str, owner: int | None) -> str | None:
        run = await self._run(run_id, owner)
        return None if run is None else hlog(run.evidence)

    async def delete(self, run_id: str, owner: int | None) -> bool:
        _check(self._keeper.waiting(run_id), owner)
        run = await self._run(run_id, owner)
        _check(self._keeper.waiting(run_id), owner)  # it may have come meanwhile
        if run is not None and run.series is not None:
            raise AgentError(
                f"run {run_id} is part of a series, which is deleted as a whole, with runs delete"
                " --store",
                code="part_of_a_series",
            )
        try:
            return await self._keeper.delete(run_id)
        except StoreError as error:
            raise _unavailable("deleted", error) from error

    async def _found(self, selection: Selection, waiting: list[KeptRun]) -> list[Summary]:
        """Return the selected runs, the newest first, with those ``waiting`` as they are now."""
        stored = await self._read(lambda store: list(store.find(selection)))
        if not waiting:
            return stored
        now = await trio.to_thread.run_sync(_selected, waiting, selection, abandon_on_cancel=True)
        outdated = {run.id for run in waiting}
        found = [*now, *(run for run in stored if run.id not in outdated)]
        return sorted(found, key=lambda run: (run.at, run.number), reverse=True)

    async def _run(self, run_id: str, owner: int | None) -> KeptRun | None:
        if (waiting := self._keeper.waiting(run_id)) is not None:
            _check(waiting, owner)
            return waiting
        entry = Entry(run_id, is_series=False)
        found = await self._read(lambda store: store.runs(entry))
        if not found:
            return None
        [run] = found
        _check(run, owner)
        return run

    async def _read(self, read: Callable[[Store], list[T]]) -> list[T]:
        """Return what ``read`` does; nothing if nothing has ever been kept."""
        try:
            return await trio.to_thread.run_sync(
                self._opened_for, read, limiter=self._limiter, abandon_on_cancel=True
            )
        except NoStore:
            return []
        except NotFound as error:  # a commit of which there are several
            raise InvalidRequest(str(error), field="commit") from error
        except StoreError as error:
            raise _unavailable("read", error) from error

    def _opened_for(self, read: Callable[[Store], list[T]]) -> list[T]:
        with open_to_read(self._path) as store:
            return read(store)


def _selected(runs: list[KeptRun], selection: Selection) -> list[Summary]:
    with in_memory(runs) as store:
        return list(store.find(selection))


def _check(run: KeptRun | None, owner: int | None) -> None:
    """Raise ForbiddenUser if there is a run, and it is another user's than ``owner``, who asks."""
    if run is not None:
        check_owner(run.id, run.owner, owner)


def _unavailable(what: str, error: StoreError) -> AgentError:
    return AgentError(f"the runs cannot be {what} for now: {error}", code="store_unavailable")


def _fields(wanted: RunsRequest) -> dict[str, str]:
    named = {"verdict": wanted.verdict, "state": wanted.state}
    return {**wanted.labels, **{name: value for name, value in named.items() if value}}


def _listed(run: Summary) -> Json:
    return {
        "run_id": run.id,
        "state": run.state,
        "verdict": run.verdict,
        "started_at": run.started_at,
        "labels": dict(run.labels),
        "wall_ms": run.wall_ms,
        "kernel": run.kernel,
        "cpus": run.cpus,
        "copied": run.copied,
    }
