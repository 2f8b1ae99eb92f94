"""Which parts of the wall time certainly differ, whatever the whole of it does.

A state of the wall time is certain by its own test, adjusted for all that are tested. Its parts are
not tested. One of them is certain if it is the part that decides about the cause; or if its
interval excludes 0, its state certainly differs the same way, and either it is half of that or
more, or the sum over tasks that belongs to it passed its own test.
"""

from collections.abc import Mapping, Sequence

from agent.comparison.figures import OF_WALL_TIME
from agent.terminal.parts import excludes_0, state_of
from agent.words import Json

HALF = 0.5


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
    if not excludes_0(difference):
        return False
    if name == deciding:
        return True
    own, state = difference["middle"], tested.get(f"{OF_WALL_TIME}{state_of(name)}")
    way = "larger" if own > 0 else "smaller"
    if state is None or state["outcome"] != way:
        return False
    summed = tested.get(name)
    passed = summed is not None and summed["outcome"] == way
    return bool(passed or abs(own) >= HALF * abs(state["difference"]["middle"]))
