"""One run of an agent, from the client's side: begun, ended, and never anybody else's."""

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable, socket_path
from agent.run import signals
from agent.words import Json

POLL_S = 0.2
ENDED_EARLY = (
    "ended_early: another client, or the end of the agent, ended the run too early. What came "
    "after is missing"
)
CLOCKS_APART = timedelta(seconds=2)
"""By how much two readings of when a process began may differ: the clock may have been set."""


class NotMeasured(Exception):
    """The run could not be begun, or its evidence is lost; the text says why."""


class Measurement:
    """One run. It is ended on leaving, if it has been begun."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent
        self._run_id = ""
        self._other: Mapping[str, Any] = {}

    def start(
        self, body: Mapping[str, Any], patience_s: float, on_busy: Callable[[str], None]
    ) -> Json:
        """Begin the run, and return the agent's answer. Raises `NotMeasured`.

        While another run is in progress, call ``on_busy`` once and wait, for ``patience_s``. Its
        argument says which run that is, and how to end it: unless it is about processes that end,
        nothing else ends it if its client was killed.
        """
        deadline = time.monotonic() + patience_s
        reported = False
        while (answer := self._try(body)) is None:
            if time.monotonic() >= deadline:
                raise NotMeasured(
                    f"another run did not end in {patience_s:g} s (--wait): {self._busy()}"
                )
            if not reported:
                on_busy(self._busy())
                reported = True
            time.sleep(min(POLL_S, max(deadline - time.monotonic(), 0)))
        return answer

    def _try(self, body: Mapping[str, Any]) -> Json | None:
        """Return the answer to one start; None while another run is in progress."""
        try:
            # an interruption here would leave unknown whether there is a run to end
            with signals.blocked():
                answer = self._agent.post("/start", body)
                self._run_id = str(answer.get("run_id", ""))
        except AgentRefused as refused:
            if refused.code == "run_in_progress":
                self._other = refused.answer
                return None
            raise NotMeasured(f"the agent refused: {refused.message}") from refused
        except AgentUnreachable as error:
            raise NotMeasured(str(error)) from error
        return answer

    def _busy(self) -> str:
        """Return which run is in progress, since when as far as the agent says, and the cure."""
        run = f"run {self._other['run_id']}" if self._other.get("run_id") else "a run"
        since = self._other.get("started_at")
        busy = f"{run} is in progress" + (f" (since {since})" if since else "")
        path = socket_path(self._agent.url)
        url = (
            ["--unix-socket", path, "http://localhost/stop"]
            if path
            else [f"{self._agent.url}/stop"]
        )
        cure = shlex.join(["curl", "-X", "POST", *url])
        if path:  # where only who began it, and root, may end it
            return f"{busy}; if its client is gone, its user or root can end it with: {cure}"
        return f"{busy}; if its client is gone, end it with: {cure}"

    def stop(self) -> Json:
        """End the run, and return its evidence. Raises `NotMeasured`."""
        run_id, self._run_id = self._run_id, ""
        try:
            with signals.blocked():
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
        if self._run_id:
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


@contextlib.contextmanager
def measurement(agent: AgentClient) -> Iterator[Measurement]:
    run = Measurement(agent)
    try:
        yield run
    finally:
        run.close()


def check_process(started: Mapping[str, Any], pid: int, forked_at: datetime) -> None:
    """Check that the run is about our process. Raises `NotMeasured`.

    An agent on another machine, or in another pid namespace, takes the number for another process.
    """
    scope = started.get("scope")
    if started.get("mock") or not isinstance(scope, dict):
        return  # nothing is measured, and the answer says so
    try:
        began = datetime.fromisoformat(str(scope.get("process_started_at")))
        same = abs(began.astimezone(UTC) - forked_at) < CLOCKS_APART
    except ValueError:
        same = False
    if not same:
        raise NotMeasured(
            f"the agent's process {pid} is a different one: the agent is on another machine, "
            "or in another pid namespace"
        )
