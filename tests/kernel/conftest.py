"""One agent for the tests of the real kernel that need none of their own, on each transport."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.copied_package import Copy
from fakes.real_agent import RealAgent, running

from agent.model import TRANSPORTS


@pytest.fixture(scope="session", params=TRANSPORTS)
def agent(request: pytest.FixtureRequest) -> Iterator[RealAgent]:
    with running(["--transport", request.param]) as agent:
        yield agent


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The package, free to be broken."""
    return Copy(tmp_path)
