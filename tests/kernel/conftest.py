"""One agent for the tests of the real kernel that need none of their own, on each transport."""

from collections.abc import Iterator

import pytest
from fakes.real_agent import RealAgent, running

from agent.model import TRANSPORTS


@pytest.fixture(scope="session", params=TRANSPORTS)
def agent(request: pytest.FixtureRequest) -> Iterator[RealAgent]:
    with running(["--transport", request.param]) as agent:
        yield agent
