"""How runs of two sides lie in time."""

import pytest

from agent.comparison.observation import Observation, in_time
from agent.comparison.order import order_of


def runs(*positions: int | None) -> list[Observation]:
    return [Observation(100.0, {}, {}, n, position) for n, position in enumerate(positions)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("AAAABBBB", "sequential"),
        ("BBBBAAAA", "sequential"),
        ("ABABABAB", "interleaved"),
        ("ABBABAAB", "interleaved"),
        ("AABBAABB", "interleaved"),
        ("AAAABBBBAAAABBBB", "mixed"),
    ],
)
def test_the_order(order: str, expected: str) -> None:
    before, after = (
        runs(*[place for place, one in enumerate(order) if one == side]) for side in "AB"
    )
    assert order_of(before, after) == expected


def test_one_run_without_a_time_makes_the_order_unknown() -> None:
    assert order_of(runs(0, 2, 4), runs(1, 3, None)) == "unknown"
    assert in_time(runs(0, None)) == []
    assert [run.position for run in in_time(runs(2, 0, 1))] == [0, 1, 2]
