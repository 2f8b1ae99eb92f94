"""64 clients at once: every request is answered, no event is lost, and nothing grows."""

import pytest
from fakes.processes import Launched

from benchmarks.clients import CLIENTS, measure

SECONDS = 20
GROWTH_KIB = 8 * 1024
"""More than allocators vary by; 64 clients send some thousands of requests meanwhile."""


@pytest.mark.thorough
def test_many_clients_at_once(own_agent: Launched) -> None:
    load = measure(own_agent.url, own_agent.pid, seconds=SECONDS)
    answers = load.answers
    assert answers.missing == []
    assert {status for _, status in answers.statuses} <= {200, 409}
    assert answers.runs > 0
    assert answers.lost == 0
    assert load.after.rss_kib - load.before.rss_kib < GROWTH_KIB
    assert load.after.fds - load.before.fds < CLIENTS
    assert "Traceback" not in own_agent.log
