"""The thread that writes a service's store, and the only one that has it open for longer.

SQLite wants a connection used by one thread at a time, waits for disks and for other processes that
write, and has no place on an event loop. Trio takes another thread for each call, so here one call
lasts as long as the connection, and does what it is sent, in order.
"""

import contextlib
import logging
import queue
import sqlite3
from pathlib import Path

import trio

from agent.nouns import counted
from agent.store.errors import Damaged
from agent.store.opening import begin_anew, open_store
from agent.store.run import KeptRun
from agent.store.store import Entry, Store

LOGGER = logging.getLogger("agent.keeping")


class _Write:
    def __init__(self, run: KeptRun | None, deletes: str | None = None) -> None:
        """``run``: None to write none; ``deletes``: the id of one that is no longer to be kept."""
        self.run = run
        self.deletes = deletes
        self.deleted = 0
        self.done = trio.Event()
        self.error: Exception | None = None


class Writer:
    """The store at a path, made if it is missing, and opened when it is first written to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: Store | None = None
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is sent until cancelled.

        The thread is then not waited for, since it may itself be waiting for a disk: it goes on
        until `close`, or ends with the process.
        """
        task_status.started()
        token = trio.lowlevel.current_trio_token()
        await trio.to_thread.run_sync(self._work, token, abandon_on_cancel=True)

    async def write(self, run: KeptRun | None) -> None:
        """Keep a run, or with None only open the store; return once that is done.

        A caller that is cancelled only stops waiting. Raises `agent.store.errors.StoreError`.
        """
        await self._have_done(_Write(run))

    async def delete(self, run_id: str) -> bool:
        """Delete a run that belongs to no series; return whether there was one.

        A caller that is cancelled only stops waiting. Raises `agent.store.errors.StoreError`.
        """
        write = _Write(None, deletes=run_id)
        await self._have_done(write)
        return write.deleted > 0

    async def _have_done(self, write: _Write) -> None:
        self._writes.put(write)
        await write.done.wait()
        if write.error is not None:
            raise write.error

    async def close(self) -> None:
        """Close the store, and end the thread, once all that was sent is written."""
        self._writes.put(None)
        await self._closed.wait()

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        while (write := self._writes.get()) is not None:
            try:
                self._carry_out(write)
            except Exception as error:  # noqa: BLE001  raised again where the end is awaited
                write.error = error
            _say(write.done, token)
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):  # what was written is in the file all the same
                self._store.close()
        _say(self._closed, token)

    def _carry_out(self, write: _Write) -> None:
        self._let_go_if_moved()
        if self._store is None:
            self._store = open_store(self._path, on_damage=_tell)
        if write.deletes is not None:
            write.deleted = self._store.delete([Entry(write.deletes, is_series=False)])
        if write.run is not None:
            self._keep(self._store, write.run)

    def _keep(self, store: Store, run: KeptRun) -> None:
        try:
            kept = store.keep([run])
        except Damaged:
            self._store = None
            self._store, aside = begin_anew(store)
            _tell(aside)
            kept = self._store.keep([run])
        if kept.deleted:
            LOGGER.info("deleted beyond the limits: %s", counted(kept.deleted, "older run"))

    def _let_go_if_moved(self) -> None:
        """Close a store that is no longer at its path: nobody would find what is written to it."""
        if self._store is None or self._store.is_in_place:
            return
        LOGGER.warning(
            "the store %s has been moved or removed: what was kept is in the moved file, or lost;"
            " a new one is begun",
            self._path,
        )
        moved, self._store = self._store, None
        moved.close()


def _say(event: trio.Event, token: trio.lowlevel.TrioToken) -> None:
    """Set an event of the event loop, if that has not ended."""
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(event.set)


def _tell(aside: Path | None) -> None:
    where = f"it is now {aside}, and" if aside else "another process has put it aside;"
    LOGGER.warning("the store was damaged, or no database: %s a new one is begun", where)
