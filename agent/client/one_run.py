"""One run of an agent, from the client's side: begun, ended, and never anybody else's."""

import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.urls import socket_path
from agent.words import Json

ENDED_EARLY = (
    "ended_early: another client, or the end of the agent, ended the run too early. What came "
    "after is missing"
)

NOT_BEGUN = "the run was not begun"

Starting = Callable[[AgentClient, Mapping[str, Any]], Json]
"""Sends the start of a run, and returns the answer. Raises what `AgentClient.post` does."""


def start(agent: AgentClient, body: Mapping[str, Any]) -> Json:
    """Send the start of a run, and wait for the answer as long as the agent may take."""
    return agent.post("/start", body)


Fetching = Callable[[AgentClient, str], AbstractContextManager[object]]
"""Is entered with a run's id while its evidence is fetched. May raise `NotMeasured` meanwhile."""


class NotMeasured(Exception):
    """The run could not be begun, or its evidence is lost; the text says why.

    ``beside``: what is known all the same, by its name in a document.
    """

    def __init__(self, why: str, beside: Mapping[str, Any] | None = None) -> None:
        super().__init__(why)
        self.beside = beside or {}


class OneRun:
    """One run of an agent.

    ``failures`` is for those that measure with several agents: which machines have no evidence.
    ``uninterrupted`` is entered around what an interruption must not cut short: afterwards it would
    not be known whether there is a run to end. ``starting`` is what it must not cut short there,
    and ``fetching`` decides when the end of the run is waited for no longer.
    """

    failures: Sequence[str] = ()

    def __init__(
        self,
        agent: AgentClient,
        uninterrupted: Callable[[], AbstractContextManager[object]],
        starting: Starting = start,
        fetching: Fetching = lambda agent, run_id: contextlib.nullcontext(),
    ) -> None:
        self._agent = agent
        self._uninterrupted = uninterrupted
        self._starting = starting
        self._fetching = fetching
        self.run_id = ""
        """Of the run to end; empty if there is none."""
        self._other: Mapping[str, Any] = {}

    def begin(self, body: Mapping[str, Any]) -> Json | None:
        """Begin the run, and return the agent's answer; None while another run is in progress.

        Raises `NotMeasured`.
        """
        try:
            with self._uninterrupted():
                answer = self._starting(self._agent, body)
                self.run_id = str(answer.get("run_id", ""))
        except AgentRefused as refused:
            if refused.code == "run_in_progress":
                self._other = refused.answer
                return None
            raise NotMeasured(f"the agent refused: {refused.message}") from refused
        except AgentUnreachable as error:
            raise NotMeasured(str(error)) from error
        return answer

    @property
    def other_id(self) -> str:
        """The id of the run that is in progress instead, as far as the agent says."""
        return str(self._other.get("run_id") or "")

    def other_run(self) -> str:
        """Return which run is in progress instead, as `which_run` does."""
        return which_run(self._agent.url, self._other)

    def stop(self) -> Json:
        """End the run, and return its evidence. Raises `NotMeasured`."""
        run_id, self.run_id = self.run_id, ""
        if not run_id:  # and what is in progress by now would be somebody else's
            raise NotMeasured(NOT_BEGUN)
        try:
            with self._uninterrupted(), self._fetching(self._agent, run_id):
                status = self._agent.get("/status")
                if status.get("run_id") == run_id:
                    answer = self._agent.post("/stop")
                    # the agent may be ending, and have ended the run while the command still ran
                    ended = status.get("state") == "stopping"
                    return _whole_or_invalid(answer) if ended else answer
                # it has been ended, and what is in progress now may be somebody else's
                return _whole_or_invalid(self._agent.get(f"/evidence/{run_id}"))
        except (AgentRefused, AgentUnreachable) as error:
            if evidence := self._agent.logged_evidence(run_id):
                return _whole_or_invalid(evidence)
            gone = isinstance(error, AgentUnreachable) and self._agent.pid is None
            unless = ", unless the agent was asked to end: its log has it then" if gone else ""
            raise NotMeasured(f"the evidence is lost{unless}: {error}") from error

    def close(self) -> None:
        """End the run if it has been begun and not ended."""
        if self.run_id:
            with contextlib.suppress(NotMeasured):
                self.stop()


def which_run(url: str, other: Mapping[str, Any]) -> str:
    """Return which run is in progress, since when as far as the agent says, and the cure.

    Unless a run is about processes that end, nothing else ends it if its client was killed.
    """
    run = f"run {other['run_id']}" if other.get("run_id") else "a run"
    since = other.get("started_at")
    busy = f"{run} is in progress" + (f" (since {since})" if since else "")
    path = socket_path(url)
    stop = ["--unix-socket", path, "http://localhost/stop"] if path else [f"{url}/stop"]
    cure = shlex.join(["curl", "-X", "POST", *stop])
    if path:  # where only who began it, and root, may end it
        return f"{busy}; if its client is gone, its user or root can end it with: {cure}"
    return f"{busy}; if its client is gone, end it with: {cure}"


def _whole_or_invalid(evidence: Json) -> Json:
    """Return evidence of a run that we have not ended: whole if it ended with the last process."""
    if evidence.get("ended_by") == "scope" or not isinstance(evidence.get("completeness"), dict):
        return evidence
    completeness = evidence["completeness"]
    reasons = [*completeness.get("reasons", []), ENDED_EARLY]
    return {
        **evidence,
        "completeness": {**completeness, "verdict": "invalid", "reasons": reasons},
    }
