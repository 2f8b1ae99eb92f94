"""One run, as it is compared with others."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.words import Json


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What one run took, and its evidence; equal runs are still different observations."""

    wall_ms: float
    command: Json
    """As `run` describes it; empty where that is not known."""
    evidence: Json
    round: int
    """Of its series, from 0."""
    position: int | None
    """Among all runs that are compared, in the order in which they began, from 0; None if that is
    not known."""

    @property
    def failed(self) -> bool:
        """Whether the command is known to have failed."""
        return bool(self.command.get("exit_status") or self.command.get("signal"))


def in_time(runs: Sequence[Observation]) -> list[Observation]:
    """Return the runs in the order in which they began; none if that is not known of all."""
    known = [(run.position, run) for run in runs if run.position is not None]
    if len(known) < len(runs):
        return []
    return [run for _, run in sorted(known, key=lambda one: one[0])]
