"""Whether a comparison should fail a build: the exit status for CI, and why, in words."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.show.amounts import FEWEST, percent, plain
from agent.show.comparison import provided
from agent.terminal.values import mapping, number

FINE, SLOWER, INCONCLUSIVE = 0, 2, 3
DRIFT = "drift"


class Decision(NamedTuple):
    """An exit status, and what to say about it; nothing where all is well."""

    status: int
    why: str = ""


def decide(comparison: Mapping[str, Any], limit: float, *, strict: bool) -> Decision:
    """Return whether optimized is slower by more than ``limit``, a part of the baseline.

    It is beyond doubt if the whole interval is above the limit, and no drift explains it; of runs
    in blocks, if nothing else changed between them, which is said. Where the
    limit is within the interval, or there is none, nothing is decided: that fails only if
    ``strict``.
    """
    change = mapping(comparison.get("change_pct"))
    low, high = number(change.get("low")), number(change.get("high"))
    allowed = percent(100 * limit)
    if low is None or high is None:
        few = f"too few runs to tell whether it is slower by {allowed} (it takes {FEWEST} of each)"
        return _undecided(few, strict)
    interval = f"95 % interval {plain(low)} – {percent(high)} more time"
    if comparison.get("outcome") == DRIFT:
        return _undecided(f"a drift over time may be all of the difference ({interval})", strict)
    if low > 100 * limit:
        certain = provided(comparison) or " beyond doubt"
        return Decision(SLOWER, f"slower by more than {allowed}{certain} ({interval})")
    if high > 100 * limit:
        return _undecided(f"it may be slower by more than {allowed} ({interval})", strict)
    return Decision(FINE)


def _undecided(why: str, strict: bool) -> Decision:
    if strict:
        return Decision(INCONCLUSIVE, f"inconclusive: {why}")
    return Decision(FINE, f"inconclusive, which passes without --strict: {why}")
