"""The agent itself, with real runs, answers as ``/openapi.json`` says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.generated_requests import check_answers
from fakes.real_agent import RealAgent, running


@pytest.fixture
def agent() -> Iterator[RealAgent]:
    with running() as agent:
        yield agent


THE_MACHINE_DECIDES = "positive_data_acceptance"
"""Whether the process or the cgroup of a valid scope exists."""


@pytest.mark.thorough
def test_no_request_gets_an_undeclared_answer(agent: RealAgent, tmp_path: Path) -> None:
    assert check_answers(agent.url, tmp_path, 10, THE_MACHINE_DECIDES) > 150


@pytest.mark.thorough
def test_none_of_hundreds_of_requests_gets_an_undeclared_answer(
    agent: RealAgent, tmp_path: Path
) -> None:
    assert check_answers(agent.url, tmp_path, 120, THE_MACHINE_DECIDES) > 500
