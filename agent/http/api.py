"""What the HTTP side asks of the recorder; ``agent.recording.recorder`` satisfies it."""

from collections.abc import Sequence
from typing import Protocol

from agent.aggregate.series import SeriesStore
from agent.internal_metrics import InternalMetric
from agent.model import Json, Report, StartRequest


class RecorderAPI(Protocol):
    """The owner of the run. Its work is done in a task of its own: a cancelled caller of `start`
    or `stop` only stops waiting."""

    async def start(self, request: StartRequest) -> Json:
        """Arm and answer ``{"status": "started", "run_id": ...}``; raises `RunInProgress`."""
        ...

    async def stop(self) -> Json:
        """End the run and answer its evidence; raises `NotRunning`."""
        ...

    def status(self) -> Json: ...

    def report(self, report: Report) -> None: ...

    async def refresh(self) -> None:
        """Fold what is in flight, so that `series` shows it."""
        ...

    def last_evidence(self) -> Json | None: ...

    def evidence(self, run_id: str) -> Json | None: ...

    @property
    def series(self) -> SeriesStore:
        """What has been counted, by label set."""
        ...

    def internal_metrics(self) -> Sequence[InternalMetric]: ...
