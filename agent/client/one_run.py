"""One run of an agent, from the client's side: begun, ended, and never anybody else's."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable, AnswerLost
from agent.client.open_runs import (
    LEFT_OPEN,
    end_left_open,
    how_to_end,
    is_gone,
    is_left_open,
    may_have_begun,
    which_run,
)
from agent.words import Json

ENDED_EARLY = (
    "ended_early: another client, or the end of the agent, ended the run too early. What came "
    "after is missing"
)

HAS_NONE = (404, 500)
"""Refusals of an agent that has no evidence of a run: it does not know it, or failed to end it. Who
is refused otherwise may find it there: after another client's /stop, or with another token."""

NO_SUCH_RUN = "no_such_run"
"""The code of an agent that does not know a run: it may have been started anew since."""

UNAUTHORIZED = "unauthorized"
"""The code of an agent that does not take our token: it may have been started anew with another."""

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
        self.outlasted = False
        """Whether the run was in progress when we came to end it: nobody ended it too early."""

    def begin(self, body: Mapping[str, Any]) -> Json | None:
        """Begin the run, and return the agent's answer; None while another run is in progress.

        One of our own that could not be ended is ended first: nobody else would. Raises
        `NotMeasured`.
        """
        answer = self._begun(body)
        if answer is not None or not is_left_open(self._agent, self.other_id):
            return answer
        with self._uninterrupted(), self._fetching(self._agent, self.other_id):
            why = end_left_open(self._agent)
        answer = self._begun(body)
        if answer is None and is_left_open(self._agent, self.other_id):
            cause = f": {why}" if why else ""
            raise NotMeasured(
                f"run {self.other_id}, an earlier one of ours, could not be ended{cause}; "
                f"{how_to_end(self._agent)}"
            )
        return answer

    def _begun(self, body: Mapping[str, Any]) -> Json | None:
        try:
            with self._uninterrupted():
                answer = self._starting(self._agent, body)
                self.run_id = str(answer.get("run_id", ""))
        except AgentRefused as refused:
            if refused.code == "run_in_progress":
                self._other = refused.answer
                return None
            if refused.is_lost:
                began = may_have_begun(self._agent, body)
                raise NotMeasured(f"no answer from the agent, but {refused}; {began}") from refused
            raise NotMeasured(f"the agent refused: {refused.message}") from refused
        except AnswerLost as error:
            raise NotMeasured(f"{error}; {may_have_begun(self._agent, body)}") from error
        except AgentUnreachable as error:
            raise NotMeasured(str(error)) from error
        return answer

    @property
    def other_id(self) -> str:
        """The id of the run that is in progress instead, as far as the agent says."""
        return str(self._other.get("run_id") or "")

    def other_run(self) -> str:
        """Return which run is in progress instead, as `which_run` does."""
        return which_run(self._agent, self._other)

    def stop(self) -> Json:
        """End the run, and return its evidence. Raises `NotMeasured`."""
        run_id, self.run_id = self.run_id, ""
        if not run_id:  # and what is in progress by now would be somebody else's
            raise NotMeasured(NOT_BEGUN)
        try:
            with self._uninterrupted(), self._fetching(self._agent, run_id):
                return self._ended(run_id)
        except (AgentRefused, AgentUnreachable) as error:
            LEFT_OPEN[self._agent.url] = run_id
            if evidence := self._agent.logged_evidence(run_id):
                return _whole_or_invalid(evidence)
            raise NotMeasured(self._without_evidence(run_id, error)) from error

    def _ended(self, run_id: str) -> Json:
        """End the run, and return its evidence; if the answer is lost, ask once more."""
        try:
            return self._ended_in(self._agent.get("/status"), run_id)
        except AnswerLost as error:
            if error.is_late:  # the agent has had its time
                raise
        except AgentRefused as refused:
            if not refused.is_lost:
                raise
        return self._ended_in(self._agent.status_soon(), run_id)

    def _ended_in(self, status: Json, run_id: str) -> Json:
        """Do the same, for an agent that is in that state."""
        if status.get("run_id") == run_id:
            # the agent may be ending, and have ended the run while the command still ran
            self.outlasted = self.outlasted or status.get("state") != "stopping"
            evidence = self._stopped(run_id)
        else:  # it has been ended, and what is in progress now may be somebody else's
            evidence = self._kept(run_id)
        return evidence if self.outlasted else _whole_or_invalid(evidence)

    def _stopped(self, run_id: str) -> Json:
        """End the run, and no other: it may have been ended since, and another begun.

        Agents of earlier versions do not look at the id: they end whichever run is in progress, and
        refuse while ours is ending.
        """
        try:
            evidence = self._agent.post("/stop", {"run_id": run_id})
        except AgentRefused as refused:
            if refused.code == NO_SUCH_RUN:
                return self._kept(run_id)
            if refused.code == "not_running":
                with contextlib.suppress(AgentRefused):
                    return self._agent.get(f"/evidence/{run_id}")
            raise
        ended = evidence.get("run_id", run_id)
        if ended == run_id:
            return evidence
        try:
            return self._kept(run_id)
        except AgentRefused as refused:
            why = self._without_evidence(run_id, refused)
            raise NotMeasured(f"somebody else's run {ended} was ended instead; {why}") from refused

    def _kept(self, run_id: str) -> Json:
        """Return the evidence of a run that has ended: what the agent remembers, or its store."""
        try:
            return self._agent.get(f"/evidence/{run_id}")
        except AgentRefused as refused:
            if refused.code != NO_SUCH_RUN:
                raise
            return self._stored(run_id, refused)

    def _stored(self, run_id: str, refused: AgentRefused) -> Json:
        """Return what an agent that has been started anew keeps of a run. May raise ``refused``."""
        try:
            return self._agent.get(f"/runs/{run_id}")
        except AgentRefused as of_store:
            if of_store.status != 404 or of_store.is_lost:
                raise
            raise refused from of_store

    def _without_evidence(self, run_id: str, error: AgentRefused | AgentUnreachable) -> str:
        """Return why there is no evidence, and where it may be."""
        # without a code it was not the agent that refused
        code = error.code if isinstance(error, AgentRefused) and error.status in HAS_NONE else ""
        if self._agent.pid is None and (is_gone(error) or code == NO_SUCH_RUN):
            unless = "unless the agent was asked to end: its log has it then"
            return f"the evidence is lost, {unless}: {error}"
        if self._agent.pid is not None or code:
            return f"the evidence is lost: {error}"
        url = self._agent.url
        anew = ""
        if isinstance(error, AgentRefused) and error.code == UNAUTHORIZED:
            anew = (
                "if the agent, which took our token for the start, has been started anew since, its"
                f" log has the evidence, and GET /runs/{run_id} if it keeps runs; if not, "
            )
        return (
            f"the evidence was not fetched: {error}; {anew}GET /evidence/{run_id} of {url} returns "
            "it once the run has ended. If GET /status says that it is still in progress, "
            f"{how_to_end(self._agent)}"
        )

    def close(self) -> None:
        """End the run if it has been begun and not ended."""
        if self.run_id:
            with contextlib.suppress(NotMeasured):
                self.stop()


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
