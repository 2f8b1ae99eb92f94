"""64 clients at once: every request is answered, no event is lost, and nothing grows."""

import pytest
from fakes.processes import Launched

from benchmarks.clients import CLIENTS, measure

SECONDS = 20
GROWTH_MB = 8
"""More than allocators vary by; 64 clients send some thousands of requests meanwhile."""


@pytest.mark.thorough
def test_many_clients_at_once(own_agent: Launched) -> None:
    load = measure(own_agent.url, [own_agent.pid, own_agent.supervisor], seconds=SECONDS)
    answers = load.answers
    assert answers.missing == []
    assert {status for _, status in answers.statuses} <= {200, 409}
    assert answers.runs > 0
    assert answers.lost == 0
    first, *_, last = load.held
    assert last.memory_mb - first.memory_mb < GROWTH_MB
    assert last.fds - first.fds < CLIENTS
    assert "Traceback" not in own_agent.log
