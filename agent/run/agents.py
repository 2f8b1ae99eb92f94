"""Which agent measures: one that was named, that of a service, or one for this run alone."""

import contextlib
from collections.abc import Iterator

from agent.client.finding import NoAgent as NoAgent
from agent.client.finding import named_agent, url_of_a_service
from agent.client.http_client import AgentClient


@contextlib.contextmanager
def an_agent(url: str | None) -> Iterator[AgentClient]:
    """Yield an agent. Nothing but GET is sent to what may be another service. Raises `NoAgent`.

    An agent of our own ends with this block. Without privileges it starts too, and says what is
    missing in its answer to a start.
    """
    if url:
        named_agent(url, "--agent or CHAINBENCH_AGENT")
        yield AgentClient.named(url)
    elif found := url_of_a_service():
        yield AgentClient(found)
    else:
        with contextlib.ExitStack() as stack:
            yield _own(stack)


def _own(stack: contextlib.ExitStack) -> AgentClient:
    """Start an agent that ends with the stack."""
    try:
        # only here: with an agent that runs already, the command begins sooner without this
        from agent.client.spawn import AgentDidNotStart, running_agent
    except OSError as error:  # there is no descriptor left
        raise NoAgent(f"no agent could be started: {error.strerror}") from error
    try:
        # a group of its own: what signals ours, as timeout does, must not end the agent before it
        # has been asked for its evidence
        return stack.enter_context(running_agent(own_group=True))
    except (AgentDidNotStart, OSError) as error:
        raise NoAgent(f"no agent could be started: {error}") from error
