"""Which parts of the wall time certainly differ, whatever the whole of it does.

A state of the wall time is certain by its own test, adjusted for all that are tested. Its parts are
not tested. One of them is certain if it is the part that decides about the cause; or if its
interval excludes 0, its state certainly differs the same way, and either it is half of that or
more, or the sum over tasks that belongs to it passed its own test.
"""

from collections.abc import Mapping, Sequence

from agent.comparison.budget import BLOCKED_OTHER, BLOCKED_UNTIL, FOR_BUSY_CPU, FOR_IDLE_CPU
from agent.comparison.figures import OF_WALL_TIME
from agent.words import Json

HALF = 0.5
BLOCKED, WAITING = "blocked", "waiting_for_cpu"
STATES = {BLOCKED_OTHER: BLOCKED, FOR_BUSY_CPU: WAITING, FOR_IDLE_CPU: WAITING}


def with_certainty(
    parts: Sequence[Json], figures: Sequence[Json], deciding: str | None
) -> list[Json]:
    """Return the parts, each with whether it certainly differs.

    ``deciding`` is the part that decides about the cause, if one does.
    """
    tested = {one["name"]: one for one in figures}
    return [{**one, "is_certain": _is_certain(one, tested, deciding)} for one in parts]


def _is_certain(part: Json, tested: Mapping[str, Json], deciding: str | None) -> bool:
    name, difference = part["name"], part["difference_ms"]
    if not _excludes_0(difference):
        return False
    if name == deciding:
        return True
    own, state = difference["middle"], tested.get(f"{OF_WALL_TIME}{_state_of(name)}")
    way = "larger" if own > 0 else "smaller"
    if state is None or state["outcome"] != way:
        return False
    summed = tested.get(name)
    passed = summed is not None and summed["outcome"] == way
    return bool(passed or abs(own) >= HALF * abs(state["difference"]["middle"]))


def _excludes_0(difference: Json) -> bool:
    low, high = difference["low"], difference["high"]
    return low is not None and high is not None and (low > 0 or high < 0)


def _state_of(part: str) -> str:
    return BLOCKED if part.startswith(BLOCKED_UNTIL) else STATES.get(part, part)
