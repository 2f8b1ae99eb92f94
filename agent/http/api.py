"""The recorder as the HTTP side sees it; ``agent.recording.recorder`` implements it."""

from collections.abc import Sequence
from typing import Protocol

from agent.aggregate.series import SeriesStore
from agent.internal_metrics import InternalMetric
from agent.model import Report, RunsRequest, StartRequest
from agent.words import Json


class RecorderAPI(Protocol):
    """The owner of the run. It works in its own tasks, so cancelling a caller of `start` or
    `stop` only ends the caller's wait."""

    async def start(self, request: StartRequest) -> Json:
        """Arm and return ``{"status": "started", "run_id": ...}``; raises `RunInProgress`."""
        ...

    async def stop(self, owner: int | None = None) -> Json:
        """End the run and return its evidence; raises `NotRunning`.

        Here and below, ``owner``: the user who asks, if that one may have evidence of his own runs
        only; `ForbiddenUser` is raised for another's.
        """
        ...

    async def stop_run(self, run_id: str, owner: int | None = None) -> Json | None:
        """Do the same to the run of that id and no other. If it has ended, return its evidence as
        `evidence` does; None if it is not known."""
        ...

    def status(self) -> Json: ...

    def why_not_ready(self) -> str | None:
        """Return why a start would have to wait, or be in vain; None if it would not."""
        ...

    def report(self, report: Report) -> Json:
        """Publish a report; return what the answer says in addition, if anything."""
        ...

    async def refresh(self) -> None:
        """Fold the events in flight, so that `series` includes them."""
        ...

    def last_evidence(self, owner: int | None = None) -> Json | None: ...

    def evidence(self, run_id: str, owner: int | None = None) -> Json | None: ...

    @property
    def series(self) -> SeriesStore:
        """The counts so far, by label set."""
        ...

    def internal_metrics(self) -> Sequence[InternalMetric]: ...


class RunsAPI(Protocol):
    """The runs that are kept for longer than the process. `AgentError` is raised if they cannot be
    read for now (``store_unavailable``)."""

    async def page(self, wanted: RunsRequest) -> Json:
        """Return ``runs``, the newest first, and ``next``: the ``before`` of the next page."""
        ...

    async def evidence(self, run_id: str, owner: int | None) -> Json | None:
        """Return a run's evidence and ``state``; None if it is not kept. May raise
        `ForbiddenUser`."""
        ...

    async def delete(self, run_id: str, owner: int | None) -> bool:
        """Delete a run that has ended; return whether it was kept. May raise `ForbiddenUser`."""
        ...

    async def hlog(self, run_id: str, owner: int | None) -> str | None:
        """Return a run's distributions as an HdrHistogram log; None if it is not kept."""
        ...
