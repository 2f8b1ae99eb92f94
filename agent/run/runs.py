"""The runs of a series, as they are kept until they are summed up."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.run.held import Ended
from agent.run.series_plan import BASELINE, OPTIMIZED
from agent.words import Json


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run. It counts unless it failed and was not to, or was interrupted."""

    side: str
    round: int
    counts: bool
    ended: Ended
    command: Json
    evidence: Json

    @property
    def wall_ms(self) -> float:
        return self.ended.wall_s * 1e3

    def to_json(self) -> Json:
        return {
            "side": self.side,
            "round": self.round + 1,
            "counts": self.counts,
            "command": self.command,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class End:
    """Why a series ended: ``rule`` says by what, ``why`` in words if it was before its time."""

    rule: str
    why: str = ""


def pairs_of(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Return the runs of both sides of each round that is complete."""
    known = {(run.side, run.round): run for run in runs if run.counts}
    rounds = sorted({run.round for run in runs})
    both = [(known.get((BASELINE, n)), known.get((OPTIMIZED, n))) for n in rounds]
    return [(first, second) for first, second in both if first and second]
