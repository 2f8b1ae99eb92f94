import os
from collections.abc import Callable
from itertools import count, pairwise

import numpy as np
import pytest
from fakes.overhead import FakeConfiguration, FakeWorkload, World

from agent.overhead.interleave import Schedule, Step, interleave
from agent.overhead.protocols import Missing, Nothing, WorkloadFailed
from agent.overhead.rounds import Progress, RunFailed, measure, pinned
from agent.overhead.stats import is_difference


def test_every_configuration_stands_between_two_bare_runs() -> None:
    steps = list(interleave(["a", "b", "c"], Schedule(rounds=4, warmup=2)))
    for first, second in pairwise(steps):
        assert first.configuration is None or second.configuration is None
    for number in range(-2, 4):
        run = [step.configuration for step in steps if step.round == number]
        assert run[0] is None
        assert run[-1] is None
        assert sorted(name for name in run if name) == ["a", "b", "c"]


def test_rounds_come_one_after_the_other_warm_up_first() -> None:
    rounds = [step.round for step in interleave(["a"], Schedule(rounds=3, warmup=1))]
    assert rounds == sorted(rounds)
    assert not Step(-1, "a").counts
    assert Step(0, "a").counts


def test_the_order_changes_between_rounds_and_is_repeatable() -> None:
    schedule = Schedule(rounds=10, warmup=0)
    names = ["a", "b", "c", "d"]
    steps = list(interleave(names, schedule))
    assert steps == list(interleave(names, schedule))
    orders = {
        tuple(s.configuration for s in steps if s.round == number and s.configuration)
        for number in range(10)
    }
    assert len(orders) > 3


def test_an_injected_slowdown_is_found_and_an_absent_one_is_not() -> None:
    world = World()
    random = np.random.default_rng(5)
    workload = FakeWorkload(world, noise=lambda: 1 + random.normal(0, 0.01))
    slow = FakeConfiguration(world, "slow", 1.1)
    result = measure(workload, [Nothing(), slow], Schedule(rounds=20), clock=world.clock)
    floor = result.noise_floor()
    nothing, measured = result.configuration("nothing"), result.configuration("slow")
    assert floor is not None
    assert nothing is not None
    assert measured is not None
    assert measured.estimate().low <= 1.1 <= measured.estimate().high
    assert is_difference(measured.estimate(), floor)
    assert not is_difference(nothing.estimate(), floor)


def test_it_runs_in_turns_armed_only_meanwhile_and_prepared_once() -> None:
    world = World()
    measure(FakeWorkload(world), [FakeConfiguration(world, "x")], Schedule(rounds=1, warmup=1))
    turn = ["run", "+x", "run", "-x", "run"]
    assert world.log == ["prepare", *turn, *turn, "clean up"]


def test_warm_up_is_discarded() -> None:
    world = World()
    times = iter([500.0, 700.0, 900.0, 1.0, 2.0, 1.0])
    workload = FakeWorkload(world, noise=lambda: next(times))
    result = measure(workload, [FakeConfiguration(world, "x")], Schedule(rounds=1, warmup=1))
    (pair,) = result.measured[0].pairs
    assert (pair.round, pair.before, pair.armed, pair.after) == (0, 10.0, 20.0, 10.0)


def test_what_cannot_run_is_skipped_with_its_reason() -> None:
    world = World()
    absent = FakeConfiguration(world, "absent", missing=Missing("no tool", "apt-get install tool"))
    broken = FakeConfiguration(world, "broken", fails_at=frozenset({0}))
    fine = FakeConfiguration(world, "fine", 1.2)
    result = measure(FakeWorkload(world), [absent, broken, fine], Schedule(rounds=3))
    assert result.skipped == {
        "absent": Missing("no tool", "apt-get install tool"),
        "broken": Missing("would not attach", "try harder"),
    }
    assert [measured.name for measured in result.measured] == ["fine"]
    assert absent.armings == 0
    assert broken.armings == 1


def test_a_later_failure_costs_its_pair_and_is_reported() -> None:
    world = World()
    shaky = FakeConfiguration(world, "shaky", 1.5, fails_at=frozenset({2}))
    result = measure(FakeWorkload(world), [shaky], Schedule(rounds=3, warmup=1))
    (measured,) = result.measured
    assert [pair.round for pair in measured.pairs] == [0, 2]
    assert [pair.slowdown for pair in measured.pairs] == pytest.approx([1.5, 1.5])
    assert measured.remarks == ("armed 4 times", "failed in round 2: would not attach")


def test_a_configuration_that_failed_in_every_round_that_counts_is_named() -> None:
    world = World()
    hopeless = FakeConfiguration(world, "hopeless", fails_at=frozenset({1, 2}))
    result = measure(FakeWorkload(world), [Nothing(), hopeless], Schedule(rounds=2, warmup=1))
    assert [measured.name for measured in result.measured] == ["nothing"]
    why = "failed in round 1, round 2: would not attach"
    assert result.skipped == {"hopeless": Missing(why, "try harder")}


@pytest.mark.parametrize("failing", [1, 2, 9, 18])
def test_a_workload_that_fails_late_leaves_what_was_measured(failing: int) -> None:
    """Of 21 runs: bare, x, bare in each round, the first of which is for warming up."""
    world = World()
    workload = FakeWorkload(world, noise=failing_at(failing))
    with pytest.raises(RunFailed) as raised:
        measure(workload, [FakeConfiguration(world, "x", 2.0)], Schedule(rounds=6, warmup=1))
    result = raised.value.result
    number, place = divmod(failing - 1, 3)
    where = f"round {number}" if number else "the warm-up"
    attached = "with x" if place == 1 else "bare"
    assert result.ended == str(raised.value)
    assert result.ended == f"run {failing} of 21 ({where}, {attached}) failed: out of luck"
    complete = max(number - 1, 0)
    assert [len(measured.pairs) for measured in result.measured] == [complete] * bool(complete)
    if not complete and "x" in result.skipped:
        assert "ended before its first pair" in result.skipped["x"].reason
    assert world.log[-1] == "clean up"
    assert world.factor == 1


def failing_at(number: int) -> Callable[[], float]:
    runs = count(1)

    def noise() -> float:
        if next(runs) == number:
            raise WorkloadFailed("out of luck")
        return 1.0

    return noise


def test_progress_counts_up_and_shows_the_time_left() -> None:
    world = World()
    seen: list[Progress] = []
    workload = FakeWorkload(world)
    measure(workload, [FakeConfiguration(world, "x")], Schedule(1, 1), seen.append, world.clock)
    assert [progress.done for progress in seen] == [0, 1, 2, 3, 4, 5, 6]
    assert {progress.total for progress in seen} == {6}
    assert seen[0].remaining is None
    assert [progress.remaining for progress in seen[1:]] == pytest.approx([50, 40, 30, 20, 10, 0])


def test_pinning_lasts_as_long_as_its_block() -> None:
    allowed = os.sched_getaffinity(0)
    one = frozenset({max(allowed)})
    with pinned(one):
        assert os.sched_getaffinity(0) == one
    assert os.sched_getaffinity(0) == allowed
    with pinned(None):
        assert os.sched_getaffinity(0) == allowed
