"""The start and the end of a run, given up when a signal comes and the agent does not answer.

It may take an agent a minute to answer a start, while it compiles. It does not notice that its
client is gone, so a run would begin that nobody ends. An agent that hangs, because it was stopped
for example, would be waited for as long at the end of the run. So another process goes on waiting,
and ends the run if it can.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from agent.client.http_client import AgentClient
from agent.client.one_run import NotMeasured, OneRun
from agent.client.open_runs import if_it_is_open
from agent.exit_status import signal_name
from agent.run import signals
from agent.words import Json

GRACE_S = 0.5
"""For an answer that is on its way as a signal comes: what it says need not be given up."""


def start_or_give_up(agent: AgentClient, body: Mapping[str, Any]) -> Json:
    """Return the answer to a start. To be called while signals are `blocked`.

    Raises `Interrupted` soon after a signal has come, and what `AgentClient.post` does.
    """
    waiting = _Waiting(agent)
    agent.on_wait, agent.connecting = waiting.look, signals.let_through
    try:
        answer = agent.post("/start", body)
        if waiting.goes_on_alone:
            agent.connecting = contextlib.nullcontext
            run = OneRun(agent, contextlib.nullcontext)
            run.run_id = str(answer.get("run_id", ""))
            run.close()
        return answer
    except signals.Interrupted as error:
        if waiting.is_given_up and agent.pid is None:
            signals.with_the_last([error.number])  # or it would come again, and say nothing of this
            error.open_run = (
                "; the agent had not answered the start: the run that it may begin is ended once it"
                f" answers. Afterwards, {if_it_is_open(agent)}"
            )
        raise
    finally:
        agent.on_wait, agent.connecting = None, contextlib.nullcontext
        if waiting.goes_on_alone:
            os._exit(0)


@contextlib.contextmanager
def fetching(agent: AgentClient, run_id: str) -> Iterator[None]:
    """Give up requests of this block, which end a run, soon after a `blocked` signal has come.

    Raises `NotMeasured` then. The block may be that of a thread, hence with an agent of its own.
    """
    waiting = _Waiting(agent)
    agent.on_wait = waiting.look
    try:
        yield
    except signals.Interrupted as error:
        raise NotMeasured(_not_fetched(agent, run_id, error.number)) from None
    finally:
        agent.on_wait = None
        if waiting.goes_on_alone:
            os._exit(0)


def _not_fetched(agent: AgentClient, run_id: str, number: int) -> str:
    """Return what becomes of evidence that a signal keeps from being fetched."""
    silent = f"the agent had not answered when {signal_name(number)} came"
    if agent.pid is not None:
        return f"the evidence is lost: {silent}"
    return (
        f"the evidence was not fetched: {silent}; GET /evidence/{run_id} of {agent.url} returns it"
        " once the agent answers again and has ended the run"
    )


class _Waiting:
    """What becomes of the wait for one answer."""

    def __init__(self, agent: AgentClient) -> None:
        self.goes_on_alone = False
        """Whether this is the process that only waits to end the run."""
        self.is_given_up = False
        """Whether this is the process that waits no longer, for a request that has been sent."""
        self._agent = agent
        self._until: float | None = None

    def look(self, connection: socket.socket) -> None:
        """Raise `Interrupted` if a signal has come and the answer does not."""
        number = None if self.goes_on_alone else signals.held_back()
        if number is None:
            return
        self._until = self._until or time.monotonic() + GRACE_S
        if time.monotonic() < self._until:
            return
        # an agent of our own ends with us, and its run with it
        self._agent.kill()
        if self._agent.pid is None and _is_another_process():
            self.goes_on_alone = True
            _leave(connection.fileno())
            return
        self.is_given_up = True
        raise signals.Interrupted(number)


def _is_another_process() -> bool:
    """Fork; return whether this is the child. Without one, the run is left to itself."""
    try:
        return os.fork() == 0
    except OSError:
        return False


def _leave(kept: int) -> None:
    """Hold nothing of whoever started us, except for one descriptor: nobody is to wait for us."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        if number != kept:
            os.dup2(nowhere, number)
    os.closerange(3, kept)
    os.closerange(max(kept + 1, 3), os.sysconf("SC_OPEN_MAX"))
    signals.reset()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.PASSED_ON)
