"""Agents for the tests of the real kernel."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.copied_package import Copy
from fakes.disks import Disk, disk_for
from fakes.processes import Bpftool, Launched, launched
from fakes.real_agent import RealAgent, running

from agent.model import TRANSPORTS

# Where the transport is not the subject, one of them shows what there is to see.
BY_DEFAULT, *OTHERS = TRANSPORTS
EACH = [BY_DEFAULT, *(pytest.param(other, marks=pytest.mark.thorough) for other in OTHERS)]


@pytest.fixture(scope="session", params=EACH)
def agent(request: pytest.FixtureRequest) -> Iterator[RealAgent]:
    """One for all the tests that need none of their own, on each transport."""
    with running(["--transport", request.param]) as agent:
        yield agent


@pytest.fixture
def own_agent(tmp_path: Path) -> Iterator[Launched]:
    """One of the test's own, ready to arm."""
    with launched(tmp_path / "log") as agent:
        agent.settle()
        yield agent


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return disk_for(tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The package, free to be broken."""
    return Copy(tmp_path)


@pytest.fixture
def bpftool(tool: Callable[[str], str]) -> Bpftool:
    return Bpftool(tool("bpftool"))
