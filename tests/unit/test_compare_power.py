"""What the suite counts of comparisons: of made-up runs, of which all is known."""

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.kept_groups import in_turn

from benchmarks import compare_power
from benchmarks.compare_power import PAIRS, Equals, Power, Report, is_met, render


def series(blocks: int, noise: float, change: float = 0.0) -> Any:
    random = np.random.default_rng(1)
    before, after = 10 * np.exp(random.normal(0, noise, (2, blocks * PAIRS)))
    return in_turn(list(before), list((1 + change) * after))


def test_a_series_is_cut_into_comparisons_that_share_no_run() -> None:
    before, after = series(3, 0.01)
    blocks = list(compare_power._blocks((before, after)))
    assert [len(side) for block in blocks for side in block] == [PAIRS] * 6
    assert [run for block in blocks for run in block[0]] == before
    assert [run for block in blocks for run in block[1]] == after


def test_one_side_is_cut_into_blocks_that_follow_each_other() -> None:
    before, after = series(4, 0.01)
    blocks = list(compare_power._one_after_the_other((before, after)))
    assert [[run.id for run in side] for block in blocks for side in block] == [
        [run.id for run in side[first : first + PAIRS]]
        for side in (before, after)
        for first in range(0, 4 * PAIRS, PAIRS)
    ]
    assert compare_power._equals(blocks).comparisons == 4


@pytest.mark.parametrize("change", [0.0, 0.2])
def test_what_is_conclusive_is_counted(change: float) -> None:
    blocks = list(compare_power._blocks(series(8, 0.01, change)))
    for cut in (blocks, [compare_power._apart(block) for block in blocks]):
        found = compare_power._equals(cut)
        assert found.comparisons == 8
        assert (found.conclusive == 8) is (found.beyond_min_effect == 8) is bool(change)


def test_what_is_refused_is_counted_apart() -> None:
    before, after = series(2, 0.01)
    other = [replace(run, labels={"machine": "other"}) for run in after[:PAIRS]]
    found = compare_power._equals([*compare_power._blocks((before, [*other, *after[PAIRS:]]))])
    assert (found.comparisons, found.refused) == (1, 1)


@pytest.mark.thorough
def test_simulated_differences_are_found_whatever_the_spread_was() -> None:
    random = np.random.default_rng(2)
    times = [list(10 * np.exp(random.normal(0, 0.2, 100))) for _ in range(4)]
    for spread_of in (statistics.pstdev, compare_power._typical):
        found = compare_power._power(times, spread_of)
        assert found.spread_pct == pytest.approx(20, rel=0.1)
        assert min(found.found_as_pairs, found.found_as_groups) > 0.9 * found.comparisons


def test_the_report_says_what_does_not_hold() -> None:
    quiet = {
        "outcome": "undecided",
        "conclusive": False,
        "because": ["noise", "drift"],
        "drift_pct_per_run": 5.0,
        "drift_is_certain": True,
        "change_pct": 0.5,
        "blocks": "groups",
        "order_of_blocks": "sequential",
    }
    decided = {**quiet, "outcome": "larger", "conclusive": True}
    good, blocks = Equals(200, 18, 3, 9), Equals(200, 90, 80, 50)
    power, tails = Power(1000, 900, 950, 2.5), Power(1000, 700, 750, 1.5)
    report = Report(10.0, good, good, blocks, power, tails, [*[quiet] * 17, *[decided] * 3])
    assert is_met(report)
    said = render(report)
    assert "as pairs: 18 of 200 conclusive" in said
    assert "1% typical deviation (of the real ones: 1.5 %): found in 700 of 1000 as pairs" in said
    assert "3 conclusive, a drift in 20" in said
    bad = [
        replace(report, groups=Equals(200, 19, 3, 9)),
        replace(report, power=Power(1000, 899, 950, 2.5)),
        replace(report, loaded=[*[quiet] * 16, *[decided] * 4]),
        replace(report, loaded=[{**quiet, "drift_is_certain": False}] * 20),
        replace(report, loaded=[{**quiet, "blocks": "pairs"}] * 20),
        replace(report, loaded=[]),
    ]
    assert not any(map(is_met, bad))
