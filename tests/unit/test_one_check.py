"""A check by itself: its bound, and what it says."""

from dataclasses import replace

import pytest

from agent.evidence.accounts import Accounts
from agent.evidence.checks import SLACK, Check, _waits, events_ceased


@pytest.mark.parametrize(
    ("ours", "passed"), [(990, True), (989, False), (1010, True), (1011, False)]
)
def test_a_bound_is_relative_to_the_kernels(ours: int, passed: bool) -> None:
    assert Check("c", "u", ours, 1000, bound=0.01, slack=0).passed is passed


@pytest.mark.parametrize(("ours", "passed"), [(5, True), (15, True), (4, False), (16, False)])
def test_few_may_be_off_by_the_slack(ours: int, passed: bool) -> None:
    assert Check("c", "u", ours, 10, bound=0.01, slack=5).passed is passed


def test_an_excess_is_allowed_above_only() -> None:
    assert Check("c", "u", 150, 100, 0.01, 0, excess=50).passed
    assert not Check("c", "u", 60, 100, 0.01, 0, excess=50).passed


def test_what_may_lie_outside_of_the_kernels_figure_is_told_where_the_result_rests_on_it() -> None:
    told = "Up to 50 u by the agent's account may lie just outside of the time that the kernel's"
    assert told in Check("c", "u", 1_020, 1_000, 0.01, 0, excess=50).text
    assert told in Check("c", "u", 1_070, 1_000, 0.01, 0, excess=50).text
    assert "outside" not in Check("c", "u", 1_005, 1_000, 0.01, 0, excess=50).text
    assert "outside" not in Check("c", "u", 1_020, 1_000, 0.05, 0).text


@pytest.mark.parametrize("ours", [4, 29])
def test_a_check_that_could_not_have_failed_is_not_conclusive(ours: int) -> None:
    check = Check("c", "u", ours, 4, 0.01, 8, excess=25)
    assert (check.passed, check.conclusive) == (True, False)
    assert "this check could not tell whether any are missing" in check.text
    assert Check("c", "u", ours, 40, 0.01, 40, excess=25).conclusive
    # what fails says something
    assert Check("c", "u", 1_000, 4, 0.01, 8, excess=25).conclusive


def test_what_is_explained_is_no_difference() -> None:
    assert Check("c", "u", 150, 100, 0.01, 0, explained=-50).passed
    assert Check("c", "u", 50, 100, 0.01, 0, explained=50).passed
    assert not Check("c", "u", 100, 100, 0.01, 0, explained=50).passed
    assert Check("c", "u", 150, 100, 0.01, 0, explained=-50).difference == 0.5


def test_stolen_time_is_allowed_on_top() -> None:
    check = Check("c", "ns", 1_100, 1_000, 0.01, 50, stolen=50)
    assert check.allowed == 100
    assert check.passed
    assert not replace(check, ours=1_101).passed
    assert not replace(check, stolen=49).passed


FAILED = Check(
    *("run_queue_wait", "ns", 4_000_000, 1_000_000, 0.01, 200_000),
    explained=-2_500_000,
    because="the scheduler's clock stood still",
    consequence="Take runqlat as uncertain by that share",
)


def test_a_failed_check_says_what_was_explained_and_allowed_and_what_follows() -> None:
    assert FAILED.text == (
        "4 ms by the agent's account, 1 ms by the kernel's. The kernel's figure is expected to"
        " be 2.5 ms lower, because the scheduler's clock stood still. That leaves 500 µs, 50 % of"
        " the kernel's figure, more than the allowed 200 µs. Take runqlat as uncertain by that"
        " share."
    )


def test_the_kernels_figure_is_said_to_be_without_waits_that_went_unseen() -> None:
    accounts = Accounts(waits=10, waits_ns=202_000_000, kernel_waits_ns=202_800_000, unseen=2)
    assert _waits(accounts, 0).text.startswith(
        "202 ms by the agent's account, 203 ms by the kernel's. That leaves out what the kernel"
        " counted for 2 waits that went unseen. The difference is"
    )
    assert "unseen" not in _waits(replace(accounts, unseen=0), 0).text


def test_a_check_that_passed_says_no_consequence() -> None:
    text = replace(FAILED, explained=-3_000_000).text
    assert "That leaves 0 ns, 0 % of the kernel's figure, within the allowed 200 µs" in text
    assert "uncertain" not in text


def test_stolen_time_is_named_where_it_is_allowed_for() -> None:
    text = replace(FAILED, stolen=20_000_000).text
    assert "the allowed 20.2 ms (20 ms of that because a hypervisor took CPUs away)" in text


def test_figures_that_look_equal_are_told_apart() -> None:
    """What is left exceeds what is allowed by 1 ns."""
    text = replace(FAILED, ours=3_700_001, explained=-2_500_000).text
    assert "200,001 ns" in text
    assert "the allowed 200,000 ns" in text


def test_a_difference_from_nothing_is_no_number() -> None:
    check = Check("c", "u", 3, 0, 0.01, 5)
    assert check.difference is None
    assert check.evidence() == {
        "name": "c",
        "unit": "u",
        "ours": 3,
        "kernel": 0,
        "bound": 0.01,
        "slack": 5,
        "excess": 0,
        "explained": 0,
        "stolen": 0,
        "difference": None,
        "unexplained": 3,
        "allowed": 5,
        "pass": True,
        "conclusive": True,
        "text": "3 u by the agent's account, 0 u by the kernel's. The difference is 3 u within the"
        " allowed 5 u.",
    }


# --- events that stop arriving


@pytest.mark.parametrize(
    ("ours", "kernel", "ceased"),
    [(400, 1_000, True), (0, 1_000, True), (600, 1_000, False), (0, 10 * SLACK, False)],
)
def test_most_switches_unseen_means_that_events_have_ceased(
    ours: int, kernel: int, ceased: bool
) -> None:
    assert events_ceased([Check("context_switches", "switches", ours, kernel, 0.01, 50)]) is ceased
    assert not events_ceased([Check("forks", "forks", ours, kernel, 0.01, 50)])


@pytest.mark.parametrize(
    ("explained", "cause"), [(5, "some sleep as waiting"), (-5, "stands still")]
)
def test_a_wait_is_explained_by_what_makes_it_longer_or_shorter(explained: int, cause: str) -> None:
    text = _waits(Accounts(waits_ns=100, waits_explained_ns=explained), 0).text
    assert cause in text
