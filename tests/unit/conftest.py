"""A recorder on top of a collector without a kernel, for tests of what it does in a run."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from fakes.collector import FakeCollector

from agent.aggregate.series import SeriesStore
from agent.recording.recorder import Recorder


@pytest.fixture
def collector() -> FakeCollector:
    return FakeCollector()


@pytest.fixture
async def recorder(
    collector: FakeCollector, nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> Recorder:
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    await trio.testing.wait_all_tasks_blocked()
    return recorder


@pytest.fixture
async def gate() -> AsyncIterator[trio.Event]:
    """An event for a hook to wait for. It is set at the end, so that no waiter stays blocked."""
    gate = trio.Event()
    yield gate
    gate.set()
