"""One run, as it is compared with others."""

from dataclasses import dataclass

from agent.words import Json


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What one run took, and its evidence; two runs that are alike are different observations."""

    wall_ms: float
    command: Json
    """As `run` describes it; empty where that is not known."""
    evidence: Json
    round: int
    """Of its series, from 0."""
    position: int
    """Among all runs that are compared, in the order in which they began, from 0."""

    @property
    def failed(self) -> bool:
        """Whether the command is known to have failed."""
        return bool(self.command.get("exit_status") or self.command.get("signal"))
