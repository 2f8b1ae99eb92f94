"""The privileged process and its peer, before any eBPF is involved."""

import gc

import pytest

from agent.streams.shared import channel
from agent.streams.shared.channel import Malformed
from agent.streams.supervisor.armed import wait_for_running_programs
from agent.streams.supervisor.maps import Maps
from agent.streams.supervisor.supervisor import Supervisor


def no_maps() -> Maps:
    raise AssertionError("nothing may be created")


@pytest.mark.parametrize(
    "packet",
    [
        b"nonsense",
        b'{"verb": "load", "request": {}}',
        b'{"verb": "arm", "request": {"plan": {"sections": ["exec"]}}}',
        b'{"verb": "disarm", "request": {"map": 3}}',
    ],
)
def test_what_no_agent_sends_is_not_served(packet: bytes) -> None:
    ours, agent = channel.pair()
    with ours, agent:
        agent.send(packet)
        with pytest.raises(Malformed):
            Supervisor(ours, no_maps).serve()


def test_the_end_of_the_agent_ends_it() -> None:
    ours, agent = channel.pair()
    agent.close()
    with ours:
        Supervisor(ours, no_maps).serve()


def test_waiting_for_programs_leaves_nothing_to_the_garbage_collector() -> None:
    """Each run waits once, and many may pass before the supervisor collects."""
    wait_for_running_programs()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            wait_for_running_programs()
        assert gc.collect() < 5
    finally:
        gc.enable()
