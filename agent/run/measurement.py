"""One run of an agent around a command: begun once the agent is free, about the right process."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.client.http_client import AgentClient
from agent.client.one_run import NotMeasured as NotMeasured
from agent.client.one_run import OneRun
from agent.run import signals
from agent.words import Json

POLL_S = 0.2
CLOCKS_APART = timedelta(seconds=2)
"""By how much two readings of when a process began may differ: the clock may have been set."""


class Measurement(OneRun):
    """One run. It is ended on leaving, if it has been begun."""

    def __init__(self, agent: AgentClient) -> None:
        super().__init__(agent, signals.blocked)

    @property
    def has_begun(self) -> bool:
        """Whether there is a run to end."""
        return bool(self._run_id)

    def start(
        self, body: Mapping[str, Any], patience_s: float, on_busy: Callable[[str], None]
    ) -> Json:
        """Begin the run, and return the agent's answer. Raises `NotMeasured`.

        While another run is in progress, call ``on_busy`` once with `other_run`, and wait, for
        ``patience_s``.
        """
        deadline = time.monotonic() + patience_s
        reported = False
        while (answer := self.begin(body)) is None:
            if time.monotonic() >= deadline:
                raise NotMeasured(
                    f"another run did not end in {patience_s:g} s (--wait): {self.other_run()}"
                )
            if not reported:
                on_busy(self.other_run())
                reported = True
            time.sleep(min(POLL_S, max(deadline - time.monotonic(), 0)))
        return answer


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
