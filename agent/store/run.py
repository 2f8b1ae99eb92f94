"""One run as it is kept, compared and exchanged."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.terminal.evidence import verdict
from agent.words import LABEL_NAMES, Json

FINISHED, PARTIAL, ABORTED = "finished", "partial", "aborted"
STATES = (FINISHED, PARTIAL, ABORTED)
"""Whole; what the last write had of a run in progress; ended before its time."""
RUN, SERVICE, IMPORT = "run", "service", "import"
SOURCES = (RUN, SERVICE, IMPORT)
"""Kept by ``run``, by a service, or imported from a file."""
SIDES = ("command", "baseline", "optimized")
LABELS = (*LABEL_NAMES, "machine")
SHORT = 8
"""Characters of an id that are shown: enough to name it among many thousands."""
NO_VERDICT = "none"
"""Stands for the verdict of a run that nothing was measured in."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptRun:
    """One run: what it took, and what the kernel did.

    ``series`` is the id of the call of ``run`` that it belongs to, with its ``side`` and ``round``
    (from 0) there; None for a run of its own. It counts unless its command failed or it was
    interrupted. ``started_at`` is ISO 8601, or empty where it is not known. ``labels`` has each of
    `LABELS`, empty where it was not given. ``wall_ms`` is the wall time of the command, or else the
    wall time that the evidence divides; None where neither is known. ``command`` is what a command
    took, as ``run --json`` saves it; empty for evidence that no command is known of.
    """

    id: str
    series: str | None
    side: str | None
    round: int | None
    counts: bool
    source: str
    state: str
    labels: Mapping[str, str]
    started_at: str
    wall_ms: float | None
    command: Json
    evidence: Json
    owner: int | None = None
    """The user who alone, besides root, may read it; None if that is anybody who may read here."""
    copied: bool = False
    """Whether its client keeps it as well: what a service has is a copy then."""
    seed: int | None = None
    """That of its series, where it was read with the run: of the order within pairs, and of the
    intervals that the series reported."""
    min_effect: float | None = None
    """Likewise: the smallest difference that matters, as a part of the baseline."""

    @property
    def verdict(self) -> str:
        """The verdict on the evidence, or `NO_VERDICT`."""
        return verdict(self.evidence) or NO_VERDICT


@dataclass(frozen=True, slots=True, eq=False)
class KeptSeries:
    """The runs of one call of ``run``. ``summary`` is its document without the runs."""

    id: str
    summary: Json
