"""The start of a run, given up when a signal comes before the agent has answered.

It may take an agent a minute to answer, while it compiles. It does not notice that its client is
gone, so a run would begin that nobody ends.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import Any

from agent.client.http_client import AgentClient
from agent.client.one_run import OneRun
from agent.run import signals
from agent.words import Json

GRACE_S = 0.5
"""For an answer that is on its way as a signal comes: its run has begun and can be ended here."""


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
    finally:
        agent.on_wait, agent.connecting = None, contextlib.nullcontext
        if waiting.goes_on_alone:
            os._exit(0)


class _Waiting:
    """What becomes of the wait for one answer."""

    def __init__(self, agent: AgentClient) -> None:
        self.goes_on_alone = False
        """Whether this is the process that only waits to end the run."""
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
