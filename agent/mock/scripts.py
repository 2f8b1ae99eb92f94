"""What a synthetic run is like, by its labels."""

from dataclasses import dataclass

from agent.model import Labels


@dataclass(frozen=True, slots=True)
class Script:
    """How busy the synthetic machine is."""

    queued: float
    """Fraction of run-queue waits that last until another task's turn is over: the tail."""
    lock_ns: int
    """Average time for which a worker waits for a lock."""
    slow_io: float
    """Fraction of block requests that the disk's cache does not answer: the second mode."""


BASELINE = Script(queued=0.08, lock_ns=500_000, slow_io=0.30)
OPTIMIZED = Script(queued=0.03, lock_ns=200_000, slow_io=0.10)
SCRIPTS = {"baseline": BASELINE, "optimized": OPTIMIZED}


def script_of(labels: Labels) -> Script:
    """Return the script for a run's ``scenario``; of any other, the baseline's."""
    return SCRIPTS.get(labels.scenario, BASELINE)
