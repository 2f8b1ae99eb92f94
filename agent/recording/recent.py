"""The evidence of the last runs, for clients that were gone when it was sent."""

from collections import OrderedDict

from agent.errors import check_owner
from agent.recording.run import Run
from agent.words import Json

KEPT_EVIDENCE = 16
"""Runs whose evidence can be fetched later."""


class RecentEvidence:
    """Evidence by run id, with the run's owner; the oldest goes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int | None, Json]] = OrderedDict()

    def add(self, run: Run) -> None:
        """Keep the evidence of a run that has ended; beyond `KEPT_EVIDENCE`, forget the oldest."""
        self._kept[run.id] = (run.request.owner, run.evidence)
        while len(self._kept) > KEPT_EVIDENCE:
            self._kept.popitem(last=False)

    def last(self, owner: int | None) -> Json | None:
        """Return the evidence of the last run, or of the last that ``owner`` has begun."""
        kept = reversed(self._kept.values())
        return next((evidence for of, evidence in kept if owner in (None, of)), None)

    def of_run(self, run_id: str, owner: int | None) -> Json | None:
        """Return a run's evidence, if it is kept. Raises ForbiddenUser for another user's."""
        if run_id not in self._kept:
            return None
        of, evidence = self._kept[run_id]
        check_owner(run_id, of, owner)
        return evidence
