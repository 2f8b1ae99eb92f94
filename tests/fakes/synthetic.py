"""Synthetic runs in the test's own process, whose time is that of Trio's clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from agent.aggregate.series import SeriesStore
from agent.mock.collector import MockCollector
from agent.model import Labels, StartRequest
from agent.recording.recorder import Recorder
from agent.sections.probes import SECTIONS
from agent.words import Json

BOOTED_NS = 10**12
"""A run that began at 0 would look like one whose beginning is not known."""


def now_ns() -> int:
    return BOOTED_NS + round(trio.current_time() * 1e9)


@asynccontextmanager
async def synthetic(seed: int = 0) -> AsyncIterator[Recorder]:
    """Yield a recorder of an agent with ``--mock``."""
    collector = MockCollector(seed, clock_ns=now_ns)
    recorder = Recorder(collector, "mock", SeriesStore(), mock=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(collector.run)
        await nursery.start(recorder.run)
        yield recorder
        nursery.cancel_scope.cancel()


async def one_run(
    recorder: Recorder,
    scenario: str = "baseline",
    seconds: float = 3,
    scraped_after: Sequence[float] = (),
    **request: Any,
) -> Json:
    """Return the evidence of a run of this length, scraped at these times."""
    labels = Labels(scenario=scenario)
    await recorder.start(StartRequest(labels, **{"sections": SECTIONS, **request}))
    began = trio.current_time()
    for moment in scraped_after:
        await trio.sleep_until(began + moment)
        await recorder.refresh()
    await trio.sleep_until(began + seconds)
    return await recorder.stop()
