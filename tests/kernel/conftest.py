"""One agent for all tests of the real kernel that do not need one of their own."""

from collections.abc import Iterator

import pytest
from fakes.real_agent import RealAgent, running


@pytest.fixture(scope="session")
def agent() -> Iterator[RealAgent]:
    with running() as agent:
        yield agent
