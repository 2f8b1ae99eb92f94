"""What several unit tests run without a kernel, or instead of an agent."""

from collections.abc import AsyncIterator, Iterator

import pytest
import trio
import trio.testing
from fakes.agent_server import serving
from fakes.collector import FakeCollector
from fakes.kernel_batches import KernelBatches
from fakes.run_agent import RunAgent

from agent.aggregate.series import SeriesStore
from agent.processes import launch
from agent.recording.recorder import Recorder
from agent.settings import Settings
from agent.streams.drain.batches import OpenBatches


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


@pytest.fixture
def kernel() -> Iterator[KernelBatches]:
    kernel = KernelBatches()
    yield kernel
    kernel.close()


@pytest.fixture
def batches(kernel: KernelBatches) -> Iterator[OpenBatches]:
    batches = OpenBatches(kernel.fd, kernel.geometry)
    yield batches
    batches.close()


@pytest.fixture
def agent() -> Iterator[RunAgent]:
    with serving(RunAgent()) as fake:
        yield fake


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings that the agent would have been started with."""
    calls: list[Settings] = []

    def serve(settings: Settings) -> int:
        calls.append(settings)
        return 0

    monkeypatch.setattr(launch, "serve", serve)
    return calls
