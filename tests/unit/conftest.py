"""What several unit tests run without a kernel, or instead of an agent."""

import io
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from fakes.agent_server import serving
from fakes.collector import FakeCollector
from fakes.kernel_batches import KernelBatches
from fakes.lossy_agent import InFront, in_front
from fakes.run_agent import RunAgent
from fakes.runs_command import Done, Runs

from agent.aggregate.series import SeriesStore
from agent.cli import main
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
def every_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have benchmarks offer the same workloads on every machine. They cannot be run so."""
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")


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


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder for the state of a user who has kept no runs yet."""
    return tmp_path / "state"


@pytest.fixture
def path(home: Path) -> Path:
    """Where that user's runs are kept."""
    return home / "chainbench-agent" / "runs.db"


@pytest.fixture
def runs(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runs:
    """Return a function that does what the command line does, in this process."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: object, read: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(read.encode())))
        capsys.readouterr()
        try:
            status = main(["runs", *map(str, arguments)])
        except SystemExit as error:
            status = int(str(error.code))
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep a test out of the user's own store."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def front() -> Iterator[InFront]:
    """An agent with something in front of it that loses answers."""
    with in_front() as agent:
        yield agent
