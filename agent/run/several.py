"""One run of several agents around a command. Imported only where several are named."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.client.several import Member, SeveralRuns
from agent.run import signals
from agent.run.giving_up import fetching, start_or_give_up
from agent.run.measurement import Check, begun
from agent.words import Json


class SeveralMeasurements(SeveralRuns):
    """One run of each agent; see `agent.run.measurement.Measuring`."""

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__(members, signals.blocked, start_or_give_up, fetching)

    def start(
        self,
        body: Mapping[str, Any],
        patience_s: float,
        on_busy: Callable[[str], None],
        check: Check = lambda started: None,
    ) -> Json:
        self.check = check
        return begun(self, body, patience_s, on_busy)
