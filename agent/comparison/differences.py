"""By how much the slower of two commands has more of something, and which factor explains that.

``Of`` reads a figure of one run: a time in ms, or a count; None where it is not known.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.comparison.budget import Budget
from agent.comparison.designs import Design
from agent.comparison.figures import BLOCKED_IN
from agent.statistics.comparison import Shift
from agent.statistics.estimate import FEWEST
from agent.statistics.sample import median_interval

HALF, FEW, MOST = 0.5, 0.25, 0.75

Of = Callable[[Budget], float | None]


class Sides(NamedTuple):
    """The runs of both commands, and the part of the difference that is looked at."""

    design: Design
    faster: Sequence[Budget]
    slower: Sequence[Budget]
    part: str = ""
    part_ms: float = 0.0

    def shift(self, of: Of) -> Shift | None:
        """Return by how much the slower has more; None if too few runs, or pairs, know it."""
        fast, slow = ([of(one) for one in side] for side in (self.faster, self.slower))
        known = self.design.known(fast, slow)
        return self.design.shift(*known) if min(map(len, known)) >= FEWEST else None

    def medians(self, of: Of) -> tuple[float, float] | None:
        """Return the medians of the faster and of the slower; None where a run does not know it."""
        sides = [[of(one) for one in side] for side in (self.faster, self.slower)]
        known = [[value for value in side if value is not None] for side in sides]
        if any(len(side) < FEWEST for side in known):
            return None
        fast, slow = (median_interval(side).middle for side in known)
        return fast, slow

    def occurs_in(self, of: Of) -> tuple[int, int]:
        """Return in how many runs of the faster and of the slower there is something of it."""
        fast, slow = (sum(bool(of(one)) for one in side) for side in (self.faster, self.slower))
        return fast, slow

    def more(self, of: Of) -> float:
        """Return by how much more the slower certainly has; 0 if that is not certain or known."""
        found = self.shift(of)
        return found.estimate.middle if found is not None and is_more(found) else 0.0

    def grew(self, of: Of, share: float = HALF) -> bool:
        """Return whether it is certainly more, by this share of the part at least."""
        more = self.more(of)
        return more > 0 and more >= share * self.part_ms

    def stayed(self, of: Of) -> bool:
        """Return whether it is known, and grew by less than a quarter of the part."""
        found = self.shift(of)
        return found is not None and found.estimate.middle < FEW * self.part_ms

    def explains(self, of: Of, within: Of) -> bool:
        """Return whether this factor explains the growth of a product."""
        share = self._by(of, within)
        return share is not None and share >= MOST

    def has_no_share(self, of: Of, within: Of) -> bool:
        share = self._by(of, within)
        return share is not None and share <= FEW

    def _by(self, of: Of, within: Of) -> float | None:
        """Return which share the growth of one factor has in that of the product, in logarithms.

        1 if there was nothing of the factor and is now; 0 if only the product was nothing, or the
        factor did not grow.
        """
        one, whole = self.medians(of), self.medians(within)
        if one is None or whole is None or whole[1] <= whole[0]:
            return None
        if one[1] <= one[0]:
            return 0.0
        if one[0] <= 0:
            return 1.0
        if whole[0] <= 0:
            return 0.0
        return math.log(one[1] / one[0]) / math.log(whole[1] / whole[0])


def is_more(found: Shift) -> bool:
    return found.estimate.low > 0


# --- figures of one run


def part(name: str) -> Of:
    """Return the reading of a part of the wall time."""
    return lambda one: one.part(name)


def summed(reason: str) -> Of:
    """Return the reading of how long tasks were blocked for a reason, summed over tasks."""
    return lambda one: one.figures.time(f"{BLOCKED_IN}{reason}")


def interruptible(reason: str) -> Of:
    """Return the reading of the part of `summed` in which a signal could have ended the wait."""
    return lambda one: one.figures.interruptible(reason)


def called(*names: str) -> Of:
    return lambda one: one.called(*names)


def all_calls(one: Budget) -> float | None:
    return one.figures.count("calls")


def waiting(one: Budget) -> float | None:
    return one.figures.time("waiting for a CPU")


def waiting_or_waking(one: Budget) -> float | None:
    """Return the wait for a CPU, summed over tasks, with that for wake-ups to arrive there."""
    waited = one.figures.time("waiting for a CPU")
    return None if waited is None or one.waking is None else waited + one.waking


def block_io(one: Budget) -> float | None:
    return one.figures.time("block I/O")


def requests(one: Budget) -> float | None:
    return one.figures.count("block I/O requests")


def user(one: Budget) -> float | None:
    return one.figures.time("user CPU")


def system(one: Budget) -> float | None:
    return one.figures.time("system CPU")


def cpu(one: Budget) -> float | None:
    return one.cpu


def cpu_of_started(one: Budget) -> float | None:
    """Return the CPU time of all threads but the one that lived longest."""
    if one.cpu is None or one.cpu_of_first is None:
        return None
    return one.cpu - one.cpu_of_first


def had_cpu(command: str) -> Of:
    return lambda one: one.had_cpu.get(command, 0.0)


def execs(one: Budget) -> float | None:
    return one.execs


def forks(one: Budget) -> float | None:
    return one.forks


def waits(one: Budget) -> float | None:
    return one.waits


def blocks(one: Budget) -> float | None:
    return one.blocks


def preempted(one: Budget) -> float | None:
    return one.preempted


def stolen(one: Budget) -> float | None:
    return one.stolen


def throttled(one: Budget) -> float | None:
    return one.throttled


def faults(one: Budget) -> float | None:
    return one.faults
