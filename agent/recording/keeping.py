"""What is kept of a run before it has ended, so that a killed agent leaves something behind.

A run is entered as soon as it is armed, with nothing measured yet, and written again every ten
seconds with what there is then. A benchmark of disks must not measure us: nothing is written more
often, and nothing that would have to reach the disk at once.
"""

import logging
from collections.abc import Iterator

import trio

from agent.internal_metrics import InternalMetric
from agent.model import KeptState
from agent.recording import document
from agent.recording.collector import Collector
from agent.recording.keeper import Keeper, NoKeeper
from agent.recording.run import Run

INTERVAL_S = 10.0

LOGGER = logging.getLogger("agent.recording.keeping")


class Keeping:
    """Hands a recorder's runs to a keeper."""

    def __init__(self, collector: Collector, keeper: Keeper | None) -> None:
        self._collector = collector
        self.keeper: Keeper = keeper or NoKeeper()
        self._keeps = keeper is not None

    async def begun(self, run: Run) -> None:
        """Enter a run that has been armed."""
        if self._keeps:
            await self.keeper.keep(document.unfinished(run, None), "partial", run.request)

    async def follow(self, run: Run) -> None:
        """Write what there is of a run, again and again, until it is to end."""
        if not self._keeps or run.arming is None:
            return
        with run.following:
            while True:
                await trio.sleep(INTERVAL_S)
                try:
                    await self._write(run)
                except Exception:
                    # Whatever it is, the run goes on; its end will be written all the same.
                    LOGGER.exception("what there is of run %s could not be kept", run.id)
                    return

    async def ended(self, run: Run) -> None:
        """Write a run's evidence."""
        state: KeptState = "aborted" if run.cut_short else "finished"
        await self.keeper.keep(run.evidence, state, run.request)

    def metrics(self) -> Iterator[InternalMetric]:
        """Yield the families about the store, which only an agent that keeps runs has."""
        if not self._keeps:
            return
        status = self.keeper.status()
        yield InternalMetric(
            "chainbench_agent_store_writable",
            "Whether runs can be kept: 0 since a write has failed.",
            "gauge",
            (({}, float(status["state"] == "keeping")),),
        )
        yield InternalMetric(
            "chainbench_agent_store_runs_waiting",
            "Runs that are still to be written.",
            "gauge",
            (({}, float(status["waiting"])),),
        )
        yield InternalMetric(
            "chainbench_agent_store_runs_lost_total",
            "Runs that were not kept.",
            "counter",
            (({}, float(status["lost"])),),
        )

    async def _write(self, run: Run) -> None:
        so_far = await self._collector.so_far()
        unfinished = document.unfinished(run, so_far)
        await self.keeper.keep(unfinished, "partial", run.request)
