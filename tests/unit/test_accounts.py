"""Our account of each task beside the kernel's: what is compared with what, and what is not."""

from typing import Any

import pytest
from fakes.task_reports import GOOD, LIFE_NS, reports
from hypothesis import given
from hypothesis import strategies as st

from agent.evidence.accounts import (
    INTERRUPTION_NS,
    NS_PER_REMOTE_WAIT,
    NS_PER_SWITCH,
    TICK_NS,
    Accounts,
)
from agent.streams.layout import (
    SLOT_INTERRUPTIBLE,
    SLOT_PREEMPTED,
    SLOT_RUNNABLE,
    SLOT_RUNNING,
)


def taken(*rows: dict[str, Any]) -> Accounts:
    accounts = Accounts()
    accounts.take(reports(*rows))
    return accounts


def test_a_task_that_agrees() -> None:
    accounts = taken({}, {})
    assert (accounts.tasks, accounts.compared, accounts.unseen) == (2, 2, 0)
    assert accounts.waits_ns == accounts.kernel_waits_ns == 4_000_000
    assert accounts.accounted_ns == accounts.lifetimes_ns == 2 * LIFE_NS
    assert accounts.waits_failed == 0


def test_of_a_task_that_was_taken_over_nothing_is_compared() -> None:
    accounts = taken({"born_ns": 0})
    assert (accounts.without_account, accounts.tasks, accounts.lifetimes_ns) == (1, 0, 0)
    assert accounts.waits_ns == accounts.kernel_waits_ns == 0


def test_arrivals_that_were_not_seen_are_counted_and_their_task_is_not_compared() -> None:
    accounts = taken({"kernel_pcount": 13}, {})
    assert (accounts.unseen, accounts.compared) == (3, 1)
    assert accounts.kernel_waits_ns == GOOD["kernel_run_delay"]
    # its life is compared all the same
    assert accounts.lifetimes_ns == 2 * LIFE_NS


def test_more_waits_than_arrivals_are_nothing_unseen() -> None:
    """A task preempted on its way to sleep: the kernel is not told of that arrival."""
    assert taken({"kernel_pcount": 9}).unseen == 0


MANY = 100
"""So many waits that the resolution of each allows more than 1 % of their sum."""


@pytest.mark.parametrize("remote", [0, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_waits_of_a_task_may_be_off_by_so_much(sign: int, remote: int) -> None:
    row = {"waits": MANY, "remote_waits": remote}
    allowed = MANY * NS_PER_SWITCH + remote * NS_PER_REMOTE_WAIT + INTERRUPTION_NS
    assert taken(row | {"kernel_run_delay": 2_000_000 + sign * allowed}).waits_failed == 0
    assert taken(row | {"kernel_run_delay": 2_000_000 + sign * (allowed + 1)}).waits_failed == 1


def test_of_long_waits_the_sum_may_be_off_by_a_hundredth() -> None:
    row = {"wait_ns": 1_000_000_000, "now_ns": 10 * LIFE_NS}
    allowed = 10_000_000 + INTERRUPTION_NS
    assert taken(row | {"kernel_run_delay": 1_000_000_000 + allowed}).waits_failed == 0
    assert taken(row | {"kernel_run_delay": 990_000_000 - INTERRUPTION_NS}).waits_failed == 1


@pytest.mark.parametrize("row", [{"remote_waits": 3}, {"unclocked_ns": 10**9}, {}])
def test_what_else_is_allowed_a_task_does_not_make_its_waits_strict(row: dict[str, int]) -> None:
    """1 % or 1 µs a wait, whichever is more."""
    short = row | {"waits": MANY}
    allowed = MANY * NS_PER_SWITCH
    assert taken(short | {"kernel_run_delay": 2_000_000 - allowed}).waits_strict == 1
    assert taken(short | {"kernel_run_delay": 2_000_000 - allowed - 1}).waits_strict == 0
    long = row | {"wait_ns": 1_000_000_000, "now_ns": 10 * LIFE_NS}
    assert taken(long | {"kernel_run_delay": 995_000_000}).waits_strict == 1
    assert taken(long | {"kernel_run_delay": 985_000_000}).waits_strict == 0


def test_waits_in_which_the_schedulers_clock_stood_still_may_be_off_by_as_much() -> None:
    assert taken({"kernel_run_delay": 1_000_000, "unclocked_ns": 1_000_000}).waits_failed == 0
    assert taken({"kernel_run_delay": 4_000_000, "unclocked_ns": 1_000_000}).waits_failed == 1


def test_cpu_time_is_compared_for_the_living() -> None:
    accounts = taken({}, {"state": SLOT_INTERRUPTIBLE}, {"state": SLOT_RUNNING})
    assert accounts.cpu_tasks == 2
    assert accounts.cpu_ns == accounts.kernel_cpu_ns == 6_000_000
    assert accounts.cpu_allowance_ns == TICK_NS + 20 * NS_PER_SWITCH


def test_a_wait_that_the_kernel_takes_for_cpu_time_may_be_off_by_as_much() -> None:
    accounts = taken({"state": SLOT_INTERRUPTIBLE, "unclocked_ns": 70_000_000})
    assert accounts.cpu_allowance_ns == 70_000_000 + 10 * NS_PER_SWITCH


@pytest.mark.parametrize("state", [SLOT_RUNNABLE, SLOT_PREEMPTED])
def test_a_wait_that_is_open_is_part_of_a_life(state: int) -> None:
    row = {"state": state, "wait_ns": 1_500_000, "open_ns": 500_000}
    assert taken(row).accounted_ns == LIFE_NS


def test_no_negative_number_comes_of_numbers_beyond_2_63() -> None:
    accounts = taken({"kernel_run_delay": 2**64 - 1, "kernel_pcount": 2**63 - 1})
    assert accounts.unseen > 0
    assert min(accounts.kernel_waits_ns, accounts.waits_ns, accounts.lifetimes_ns) >= 0


def test_a_life_that_seems_to_begin_after_its_end_is_none() -> None:
    assert taken({"born_ns": LIFE_NS + 500}, {}).lifetimes_ns == LIFE_NS


rows = st.fixed_dictionaries(
    {
        "born_ns": st.sampled_from([0, 1, 500]),
        "wait_ns": st.integers(0, 10**12),
        "oncpu_ns": st.integers(0, 10**12),
        "kernel_run_delay": st.integers(0, 10**12),
        "waits": st.integers(0, 1_000),
        "kernel_pcount": st.integers(0, 1_000),
        "state": st.integers(0, 6),
        "open_ns": st.integers(0, 10**9),
    }
)


@given(st.lists(rows, max_size=20), st.integers(0, 20))
def test_it_does_not_matter_in_which_pieces_tasks_come(
    many: list[dict[str, int]], cut: int
) -> None:
    apart = Accounts()
    apart.take(reports(*many[:cut]))
    apart.take(reports(*many[cut:]))
    assert apart == taken(*many)
    assert apart.tasks + apart.without_account == len(many)
