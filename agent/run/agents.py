"""Which agent measures: one that was named, that of a service, or one for this run alone."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from agent.client.finding import NoAgent as NoAgent
from agent.client.finding import named_client, sought_service
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable


@contextlib.contextmanager
def an_agent(
    url: str | None, on_closed: Callable[[str], None] = lambda how: None
) -> Iterator[AgentClient]:
    """Yield an agent. Nothing but GET is sent to what may be another service. Raises `NoAgent`.

    An agent of our own ends with this block. Without privileges it starts too, and says what is
    missing in its answer to a start. ``on_closed`` is called first if a service's agent is closed
    to this user, with how to get access to it.
    """
    if url:
        yield named_client(url, "--agent or CHAINBENCH_AGENT")
        return
    found, how = sought_service()
    if found is not None:
        url, status = found
        agent = AgentClient(url)
        agent.allow_compiling(status.get("compile_deadline_s"))
        yield agent
        return
    if how:
        on_closed(how)
    with contextlib.ExitStack() as stack:
        yield _own(stack)


def known_details(agent: AgentClient, wished: Sequence[str]) -> list[str]:
    """Return these details without those that the agent does not have, being of another version.

    It would refuse the whole run for them. Agents that describe no requests are taken to have all,
    those with synthetic events to have none.
    """
    try:
        if agent.get("/status").get("mock") is True:
            return []
        fields = agent.get("/openapi.json")["components"]["schemas"]["StartBody"]["properties"]
        [known] = [form["items"]["enum"] for form in fields["details"]["anyOf"] if "items" in form]
    except (AgentRefused, AgentUnreachable, KeyError, TypeError, ValueError):
        return list(wished)
    return [name for name in wished if name in known]


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
