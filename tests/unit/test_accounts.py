"""Comparison of our account of each task with the kernel's: what is compared, and what is not."""

from typing import Any

import pytest
from fakes.task_summaries import LIFE_NS, summaries
from hypothesis import given
from hypothesis import strategies as st

from agent.evidence.accounts import NS_PER_SWITCH, Accounts
from agent.streams.shared.layout import (
    RUNTIME_UNKNOWN,
    SLOT_INTERRUPTIBLE,
    SLOT_PREEMPTED,
    SLOT_RUNNABLE,
    SLOT_RUNNING,
)


def taken(*rows: dict[str, Any]) -> Accounts:
    accounts = Accounts()
    accounts.take(summaries(*rows))
    return accounts


def test_a_task_that_agrees() -> None:
    accounts = taken({}, {})
    assert (accounts.waiting, accounts.unseen) == (2, 0)
    assert accounts.waits_ns == accounts.kernel_waits_ns == 4_000_000
    assert accounts.accounted_ns == accounts.lifetimes_ns == 2 * LIFE_NS
    assert accounts.waits_failed(0) == 0


def test_a_task_that_was_taken_over_is_not_compared() -> None:
    accounts = taken({"born_ns": 0})
    assert (accounts.waiting, accounts.lifetimes_ns) == (0, 0)
    assert accounts.waits_ns == accounts.kernel_waits_ns == 0


def test_a_task_with_arrivals_that_were_not_seen_is_compared_by_what_was() -> None:
    accounts = taken({"kernel_pcount": 13, "state": SLOT_INTERRUPTIBLE})
    assert accounts.unseen == 3
    assert (accounts.waiting, accounts.waits) == (1, 10)
    assert accounts.cpu_ns == accounts.kernel_cpu_ns == 3_000_000
    assert accounts.lifetimes_ns == LIFE_NS


def test_more_waits_than_arrivals_are_nothing_unseen() -> None:
    """The kernel does not count the arrival of a task that was preempted on its way to sleep."""
    assert taken({"kernel_pcount": 9}).unseen == 0


MANY = 100
"""Enough waits for their resolution to allow more than 1 % of their sum."""


@pytest.mark.parametrize("sign", [1, -1])
def test_short_waits_of_a_task_may_be_off_by_a_microsecond_each(sign: int) -> None:
    row = {"waits": MANY, "wait_ns": 2_000_000}
    allowed = sign * MANY * NS_PER_SWITCH
    assert taken(row | {"kernel_run_delay": 2_000_000 + allowed}).waits_failed(0) == 0
    assert taken(row | {"kernel_run_delay": 2_000_000 + allowed + sign}).waits_failed(0) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sum_of_long_waits_may_be_off_by_a_hundredth(sign: int) -> None:
    row = {"kernel_run_delay": 1_000_000_000, "now_ns": 10 * LIFE_NS}
    allowed = sign * 10_000_000
    assert taken(row | {"wait_ns": 1_000_000_000 + allowed}).waits_failed(0) == 0
    assert taken(row | {"wait_ns": 1_000_000_000 + allowed + sign}).waits_failed(0) == 1


@pytest.mark.parametrize(
    ("explained", "ns"),
    [({"scheduler_excess_ns": -700_000}, -700_000), ({"sleep_as_wait_us": 700}, 700_000)],
    ids=["the scheduler's clock", "sleeps counted as waits"],
)
def test_what_is_explained_of_single_waits_is_no_difference(
    explained: dict[str, int], ns: int
) -> None:
    row = {"kernel_run_delay": 2_000_000 + ns}
    assert taken(row).waits_failed(0) == 1
    accounts = taken(row | explained)
    assert accounts.waits_failed(0) == 0
    assert (accounts.waits_ns, accounts.waits_explained_ns) == (2_000_000, ns)
    # nor does an explanation hide a difference
    assert taken(explained).waits_failed(0) == 1


def test_a_task_that_did_not_wait_is_not_among_those_that_did() -> None:
    asleep = {"wait_ns": 0, "waits": 0, "kernel_run_delay": 0, "kernel_pcount": 0}
    unnoticed = {"wait_ns": 0, "waits": 0}
    accounts = taken({}, asleep, unnoticed)
    assert (accounts.waiting, accounts.waits_failed(0)) == (2, 1)


def test_kernel_threads_are_compared_as_well() -> None:
    row = {"kernel_thread": 1, "kernel_run_delay": 400_000_000}
    assert taken(row).waits_failed(0) == taken(row).waiting == 1


def test_cpu_time_of_living_and_exited_tasks_is_compared() -> None:
    accounts = taken({}, {"state": SLOT_INTERRUPTIBLE}, {"state": SLOT_RUNNING})
    assert accounts.cpu_ns == accounts.kernel_cpu_ns == 9_000_000
    assert accounts.cpu_explained_ns == 0


def test_cpu_time_that_is_not_known_is_not_compared() -> None:
    accounts = taken({"kernel_runtime": RUNTIME_UNKNOWN, "turn_excess_us": 5})
    assert (accounts.cpu_ns, accounts.kernel_cpu_ns, accounts.cpu_explained_ns) == (0, 0, 0)
    assert accounts.waiting == 1


@pytest.mark.parametrize("us", [-70_000, 70_000])
def test_of_cpu_time_only_what_was_found_turn_by_turn_is_explained(us: int) -> None:
    accounts = taken({"turn_excess_us": us, "scheduler_excess_ns": 1_000_000}, {})
    assert accounts.cpu_explained_ns == 1_000 * us
    assert accounts.cpu_ns == accounts.kernel_cpu_ns == 6_000_000


@pytest.mark.parametrize(("stolen", "failed"), [(0, 3), (2**20, 2), (2**24, 1), (2**31, 0)])
def test_waits_that_are_off_by_less_than_was_stolen_are_not_counted(
    stolen: int, failed: int
) -> None:
    """1, 10 and 1,000 ms of waits are missing, in excess of 1 %."""
    rows = [{"kernel_run_delay": 2_020_000 + ns} for ns in (1_000_000, 10_000_000, 1_000_000_000)]
    assert taken(*rows).waits_failed(stolen) == failed


@pytest.mark.parametrize("state", [SLOT_RUNNABLE, SLOT_PREEMPTED])
def test_a_wait_that_is_open_is_part_of_a_life(state: int) -> None:
    row = {"state": state, "wait_ns": 1_500_000, "open_ns": 500_000}
    assert taken(row).accounted_ns == LIFE_NS


def test_no_negative_number_comes_of_2_32() -> None:
    assert taken({"kernel_pcount": 2**32 - 1}).unseen > 0


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
    apart.take(summaries(*many[:cut]))
    apart.take(summaries(*many[cut:]))
    assert apart == taken(*many)
