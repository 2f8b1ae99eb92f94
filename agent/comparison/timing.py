"""How long kept runs took, all of them timed in the same way."""

from collections.abc import Sequence

from agent.comparison.comparable import NotComparable, Refusal
from agent.comparison.pairing import moment
from agent.comparison.values import mapping, number
from agent.store.run import KeptRun

COMMAND, EVIDENCE, MEASURED = "command", "evidence", "measured"
"""What the wall time of runs is: of the command; of the budget in the evidence; or for how long was
measured. The first that all runs have, since they are compared by the same."""


def timed_by(runs: Sequence[KeptRun]) -> str:
    """Return by what all of the runs can be timed. Raises `NotComparable` if by nothing."""
    for name in (COMMAND, EVIDENCE, MEASURED):
        if all(wall_ms(run, name) is not None for run in runs):
            return name
    why = "how long they took is not known in the same way of all of the runs"
    raise NotComparable([Refusal("time", why, "choose runs that were made alike")])


def wall_ms(run: KeptRun, by: str) -> float | None:
    """Return how long a run took by one of the three; None where that is not known, or 0."""
    if by == COMMAND:
        ms = number(run.command.get("wall_ms"))
    elif by == EVIDENCE:
        ms = number(mapping(run.evidence.get("wall")).get("wall_ms"))
    else:
        ms = _measured_ms(run)
    return ms if ms is not None and ms > 0 else None


def with_impossible_times(runs: Sequence[KeptRun]) -> list[KeptRun]:
    """Return the runs of which a time of the command is given that nothing can have taken."""
    return [
        run
        for run in runs
        if run.command.get("wall_ms") is not None and wall_ms(run, COMMAND) is None
    ]


def _measured_ms(run: KeptRun) -> float | None:
    first, last = (moment(run.evidence.get(f"measured_{end}")) for end in ("from", "to"))
    return None if first is None or last is None else (last - first).total_seconds() * 1e3
