"""One run of an agent around a command: begun once the agent is free, about the right process."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from agent.client.http_client import AgentClient
from agent.client.one_run import NotMeasured as NotMeasured
from agent.client.one_run import OneRun
from agent.run import signals
from agent.run.giving_up import fetching, start_or_give_up
from agent.words import Json

POLL_S = 0.2
CLOCKS_APART = timedelta(seconds=2)
"""By how much two readings of when a process began may differ: the clock may have been set."""


Check = Callable[[Mapping[str, Any]], None]
"""Looks at the answer to a start; raises `NotMeasured` if the run is about something else."""


class Measuring(Protocol):
    """One run, of one agent or of several."""

    @property
    def failures(self) -> Sequence[str]:
        """Which other machines there is no evidence of, and why."""

    def start(
        self,
        body: Mapping[str, Any],
        patience_s: float,
        on_busy: Callable[[str], None],
        check: Check = ...,
    ) -> Json:
        """Begin the run, and return the agent's answer once ``check`` has seen it.

        Raises `NotMeasured`. While another run is in progress, call ``on_busy`` once with
        `other_run`, and wait, for ``patience_s``.
        """

    def stop(self) -> Json:
        """End the run, and return its evidence. Raises `NotMeasured`."""

    def close(self) -> None:
        """End the run if it has been begun and not ended."""


class Measurement(OneRun):
    """One run of one agent; see `Measuring`."""

    def __init__(self, agent: AgentClient) -> None:
        super().__init__(agent, signals.blocked, start_or_give_up, fetching)

    @property
    def has_begun(self) -> bool:
        """Whether there is a run to end."""
        return bool(self.run_id)

    def start(
        self,
        body: Mapping[str, Any],
        patience_s: float,
        on_busy: Callable[[str], None],
        check: Check = lambda started: None,
    ) -> Json:
        answer = begun(self, body, patience_s, on_busy)
        check(answer)
        return answer


class _Beginning(Protocol):
    def begin(self, body: Mapping[str, Any]) -> Json | None: ...
    def other_run(self) -> str: ...


def begun(
    run: _Beginning,
    body: Mapping[str, Any],
    patience_s: float,
    on_busy: Callable[[str], None],
) -> Json:
    """Begin a run as `Measuring.start` does, and return the agent's answer."""
    deadline = time.monotonic() + patience_s
    reported = False
    while (answer := run.begin(body)) is None:
        if time.monotonic() >= deadline:
            raise NotMeasured(
                f"another run did not end in {patience_s:g} s (--wait): {run.other_run()}"
            )
        if not reported:
            on_busy(run.other_run())
            reported = True
        time.sleep(min(POLL_S, max(deadline - time.monotonic(), 0)))
    return answer


def check_process(started: Mapping[str, Any], pid: int, forked_at: datetime) -> None:
    """Check that the run is about our process. Raises `NotMeasured`.

    An agent on another machine, or in another pid namespace, takes the number for another process.
    """
    scope = started.get("scope")
    if started.get("mock") or not isinstance(scope, dict):
        return  # nothing is measured, and the answer says so
    if not started.get("available") and "process_started_at" not in scope:
        return  # nor is the process followed in /proc
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
