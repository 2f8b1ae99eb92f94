"""Fixtures for tests with the real kernel."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.block_devices import Hanging, hanging_device
from fakes.copied_package import Copy
from fakes.disks import Disk, disk_for
from fakes.needs import lacking
from fakes.processes import Bpftool, Launched, launched
from fakes.real_agent import RealAgent, running
from fakes.wall_times import OURS, THEIRS

from agent.model import TRANSPORTS

# One transport is enough for tests whose subject is not the transport.
BY_DEFAULT, *OTHERS = TRANSPORTS
EACH = [BY_DEFAULT, *(pytest.param(other, marks=pytest.mark.thorough) for other in OTHERS)]


@pytest.fixture(scope="session", params=EACH)
def agent(request: pytest.FixtureRequest) -> Iterator[RealAgent]:
    """An agent, one per transport, shared by all tests that do not need a separate one."""
    with running(["--transport", request.param]) as agent:
        yield agent


@pytest.fixture
def own_agent(tmp_path: Path) -> Iterator[Launched]:
    """A separate agent for one test, with its programs loaded."""
    with launched(tmp_path / "log") as agent:
        agent.settle()
        yield agent


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return disk_for(tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of the package in which a test can inject faults."""
    return Copy(tmp_path)


@pytest.fixture
def bpftool(tool: Callable[[str], str]) -> Bpftool:
    return Bpftool(tool("bpftool"))


@pytest.fixture
def hanging(tmp_path: Path, tool: Callable[[str], str]) -> Iterator[Hanging]:
    with hanging_device(tool, tmp_path) as device:
        yield device


@pytest.fixture
def apart() -> Iterator[None]:
    """Pin this process to another CPU than the commands of `fakes.wall_times`.

    It would otherwise learn of things up to a millisecond late, and keep a command from its CPU. It
    has its CPU whenever it wants; its children are as others.
    """
    before = os.sched_getaffinity(0)
    if not before >= OURS | THEIRS:
        lacking("two CPUs")
    os.sched_setaffinity(0, OURS)
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(0, before)
