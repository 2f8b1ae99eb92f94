"""The runs of a service's clients, on their way into its store.

One task owns what waits to be written, and one thread writes it, so neither the event loop nor a
client waits for a disk: a run whose entry is not written within a second is answered all the same,
and written when the store can be used again. Of a run in progress only the latest state waits.
"""

import logging
from collections import OrderedDict
from dataclasses import replace

import trio

from agent.keeping.writer import Writer
from agent.model import StartRequest
from agent.store.documents import runs_of
from agent.store.errors import StoreError
from agent.store.run import PARTIAL, SERVICE, KeptRun
from agent.words import Json

PATIENCE_S = 1.0
"""How long a run waits for the store; writing takes some milliseconds."""
RETRY_S = 10.0
"""Interval between attempts while the store cannot be used."""
LAST_S = 0.5
"""How long the agent's end waits for what is left to be written. Whatever a stop has waited for has
had a second already, and the agent promises to exit within five."""
MOST_WAITING = 16
"""Runs that wait for a store that cannot be used: as many as `GET /evidence` keeps in memory."""
STUCK = f"it has not answered for {PATIENCE_S:g} s"

LOGGER = logging.getLogger("agent.keeping")


class _Entry:
    def __init__(self, run: KeptRun) -> None:
        self.run = run
        self.dealt_with = trio.Event()
        """Set when it has been written, or need not be waited for."""


class _Deletion:
    def __init__(self) -> None:
        self.found = False
        """Whether the store had the run."""
        self.error: Exception | None = None
        self.done = trio.Event()


class StoreKeeper:
    """The implementation of `agent.recording.keeper.Keeper`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: OrderedDict[str, _Entry] = OrderedDict()
        """By run id, the one that has waited longest first."""
        self._writing: _Entry | None = None
        """What is being written, or was to be and is tried again."""
        self._more = trio.Event()
        self._failure: str | None = None
        self._is_defect = False
        """Whether the failure is one of ours, perhaps with one run only: others are still tried."""
        self._lost = 0
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what there is until cancelled, and then what is left."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._writer.run)
            self._nursery = nursery
            task_status.started()
            try:
                await self._open()
                await self._write_all()
            finally:
                with trio.CancelScope(shield=True):
                    await self._write_the_rest()

    async def keep(self, evidence: Json, state: str, request: StartRequest) -> None:
        """Have a run stored; return when it is, or after a second."""
        try:
            entry = _Entry(_kept(evidence, state, request))
        except Exception as error:  # noqa: BLE001  a defect, which is logged
            self._lose_by_defect(evidence["run_id"], state, error)
            return
        self._put(entry)
        if self._failure is not None and not self._is_defect:
            return
        with trio.move_on_after(PATIENCE_S) as patience:
            await entry.dealt_with.wait()
        if patience.cancelled_caught:
            self._note(STUCK)

    async def delete(self, run_id: str) -> bool:
        """Have a run that has ended deleted; return whether it was kept.

        If the store refuses, also later, one that waits to be written goes on waiting. If the store
        does not answer in time, it deletes the run when it can, whoever still waits for that, and
        nothing is written after that. Raises `StoreError`.
        """
        waiting = self._waiting.pop(run_id, None)
        if waiting is not None:  # or it would be written after it was deleted
            waiting.dealt_with.set()
        deletion = _Deletion()
        assert self._nursery is not None
        self._nursery.start_soon(self._carry_out, deletion, run_id, waiting)
        with trio.move_on_after(PATIENCE_S):
            await deletion.done.wait()
            if deletion.error is not None:
                raise deletion.error
            return deletion.found or waiting is not None
        raise StoreError(f"{STUCK}: whether the run is deleted is not known yet")

    def waiting(self, run_id: str) -> KeptRun | None:
        """Return a run's latest state if that waits to be written."""
        entry = self._waiting.get(run_id)
        return None if entry is None else entry.run

    def all_waiting(self) -> list[KeptRun]:
        """Return the latest states of all runs that wait to be written."""
        return [entry.run for entry in self._waiting.values()]

    def status(self) -> Json:
        return {
            "state": "failing" if self._failure else "keeping",
            "reason": self._failure,
            "waiting": len(self._waiting),
            "lost": self._lost,
        }

    async def _carry_out(self, deletion: _Deletion, run_id: str, waiting: _Entry | None) -> None:
        try:
            deletion.found = await self._writer.delete(run_id)
        except Exception as error:  # noqa: BLE001  raised again where the end is awaited
            LOGGER.warning("run %s could not be deleted: %s", run_id, error)
            deletion.error = error
            if waiting is not None and run_id not in self._waiting:  # nor is there a later state
                self._put(waiting)
        deletion.done.set()

    def _put(self, entry: _Entry) -> None:
        outdated = self._waiting.pop(entry.run.id, None)
        if outdated is not None:
            outdated.dealt_with.set()
        self._waiting[entry.run.id] = entry
        if len(self._waiting) > MOST_WAITING:
            # what is being written may yet be kept
            oldest = next(entry for entry in self._waiting.values() if entry is not self._writing)
            del self._waiting[oldest.run.id]
            oldest.dealt_with.set()
            if oldest.run.state != PARTIAL:
                self._lose(oldest.run.id, f"no more than {MOST_WAITING} runs can wait")
        self._more.set()

    async def _open(self) -> None:
        """Open the store before it is needed, to say early if it cannot be used."""
        try:
            await self._writer.write(None)
        except StoreError as error:
            self._note(str(error))
        except Exception as error:  # noqa: BLE001  a defect, which is logged
            self._note_defect("the store could not be opened", error)

    async def _write_all(self) -> None:
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while self._waiting:
                if not await self._write(next(iter(self._waiting.values()))):
                    await trio.sleep(RETRY_S)

    async def _write(self, entry: _Entry) -> bool:
        """Write an entry; return False if the store cannot be used."""
        self._writing = entry
        try:
            await self._writer.write(entry.run)
        except StoreError as error:
            self._note(str(error))
            return False
        except Exception as error:  # noqa: BLE001  a defect, which is logged
            # perhaps of this run only: the next one is not to wait for it
            self._lose_by_defect(entry.run.id, entry.run.state, error)
        else:
            self._note(None)
        self._settle(entry)
        return True

    def _settle(self, entry: _Entry) -> None:
        if self._waiting.get(entry.run.id) is entry:  # not replaced by a later state
            del self._waiting[entry.run.id]
        entry.dealt_with.set()

    def _lose(self, run_id: str, why: str | None) -> None:
        self._lost += 1
        LOGGER.warning("run %s is not kept: %s", run_id, why)

    def _lose_by_defect(self, run_id: str, state: str, error: Exception) -> None:
        """Give up what there is of a run; it is lost only if nothing more is to come of it."""
        self._note_defect(f"run {run_id} could not be kept", error)
        if state != PARTIAL:
            self._lose(run_id, self._failure)

    def _note_defect(self, what: str, error: Exception) -> None:
        """Remember that something could not be done, and log it unless that was known."""
        failure = f"internal error: {error!r:.200}"
        if failure != self._failure:
            LOGGER.error("%s: %s", what, failure, exc_info=error)
        self._failure, self._is_defect = failure, True

    def _note(self, failure: str | None) -> None:
        """Remember whether the store can be used, and log when that changes."""
        if failure is not None and (self._failure is None or self._is_defect):
            LOGGER.warning(
                "runs are not being kept: %s; they are answered all the same, and those that still"
                " wait are written when the store can be used again",
                failure,
            )
        if failure is None and self._failure is not None:
            lost = f"; {self._lost} have been lost" if self._lost else ""
            LOGGER.warning("runs are being kept again%s", lost)
        self._failure, self._is_defect = failure, False
        if failure is not None:
            for entry in self._waiting.values():
                entry.dealt_with.set()

    async def _write_the_rest(self) -> None:
        with trio.move_on_after(LAST_S):
            for entry in list(self._waiting.values()):
                if not await self._write(entry):
                    break
            await self._writer.close()
        for run_id in self._waiting:
            why = self._failure or f"the store has not answered for {LAST_S:g} s"
            self._lose(run_id, why)


def _kept(evidence: Json, state: str, request: StartRequest) -> KeptRun:
    [run] = runs_of({**evidence, "state": state}, SERVICE)
    return replace(run, owner=request.owner, copied=request.kept_by == "client")
