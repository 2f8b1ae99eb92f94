"""The agent's end of the channel, with the test as the supervisor at the other end."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
from fakes.limits import no_more_files

from agent.errors import AgentError, ScopeError
from agent.streams.drain.client import SupervisorClient
from agent.streams.shared import channel
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.channel import Failure, Malformed
from agent.streams.shared.messages import RescopeAnswer, RescopeRequest, decode_request

SUPERVISOR = 1234


@pytest.fixture
async def ends(nursery: trio.Nursery) -> AsyncIterator[tuple[SupervisorClient, socket.socket]]:
    ours, theirs = channel.pair()
    client = SupervisorClient(ours, SUPERVISOR)
    nursery.start_soon(client.run)
    with theirs:
        yield client, theirs


async def test_a_request_and_its_answer(ends: tuple[SupervisorClient, socket.socket]) -> None:
    client, supervisor = ends
    channel.send_answer(supervisor, RescopeAnswer(), {})
    reply = await client.ask(RescopeRequest())
    assert reply.answer == RescopeAnswer()
    assert decode_request(supervisor.recv(channel.MAX_MESSAGE)) == RescopeRequest()


@pytest.mark.parametrize(
    ("failure", "kind", "field"),
    [
        (Failure("no_such_process", "there is none", of_scope=True), ScopeError, "scope"),
        # what the supervisor says in of_scope decides, not the code
        (Failure("no_such_process", "there is none"), CannotCollect, None),
    ],
)
async def test_a_failure_is_raised_as_what_it_is(
    ends: tuple[SupervisorClient, socket.socket],
    failure: Failure,
    kind: type[AgentError],
    field: str | None,
) -> None:
    client, supervisor = ends
    channel.send_failure(supervisor, failure)
    with pytest.raises(kind) as raised:
        await client.ask(RescopeRequest())
    assert type(raised.value) is kind
    error = raised.value
    assert (error.code, error.message, error.field) == ("no_such_process", "there is none", field)


async def test_a_malformed_answer_is_no_answer(
    ends: tuple[SupervisorClient, socket.socket],
) -> None:
    client, supervisor = ends
    supervisor.send(b"{}")
    with pytest.raises(Malformed):
        await client.ask(RescopeRequest())


async def test_without_a_supervisor_that_is_the_cause(
    ends: tuple[SupervisorClient, socket.socket],
) -> None:
    client, supervisor = ends
    supervisor.close()
    await client.lost.wait()
    with pytest.raises(CannotCollect, match=str(SUPERVISOR)) as raised:
        await client.ask(RescopeRequest())
    assert raised.value.code == "supervisor_lost"


async def test_an_answer_whose_descriptors_do_not_fit_says_so(
    ends: tuple[SupervisorClient, socket.socket],
) -> None:
    client, supervisor = ends
    channel.send_answer(supervisor, RescopeAnswer(), {"it": supervisor.fileno()})
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        await client.ask(RescopeRequest())
    # the next one is answered
    channel.send_answer(supervisor, RescopeAnswer(), {})
    assert (await client.ask(RescopeRequest())).answer == RescopeAnswer()
