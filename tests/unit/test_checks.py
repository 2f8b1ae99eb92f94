"""Conservation checks: each fails if what it compares is tampered with, and only then."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.task_summaries import summaries

from agent.evidence.accounts import (
    INTERRUPTION_NS,
    NS_PER_SWITCH,
    Accounts,
)
from agent.evidence.checks import SLACK, Check, _waits, events_ceased
from agent.evidence.verdict import Findings, Verdict, judge
from agent.evidence.words import amount, percent
from agent.recording.collection import Collection
from agent.sections.biolatency.evidence import DISK_SLACK, BiolatencyFold
from agent.sections.biolatency.layout import BLOCK_IN_DISKSTATS, BLOCK_READ, BLOCK_WRITE
from agent.sections.biolatency.requests_table import BlockTable
from agent.sections.probes import DEFAULT_SECTIONS
from agent.streams.collect.observed import StreamCounts
from agent.streams.shared.kernel_counts import TICK_NS, Edge, KernelCounts
from agent.streams.shared.layout import SLOT_INTERRUPTIBLE

DEVICE = 254 << 20
BY_TASK = "tasks_with_run_queue_wait"
WAITS = {"run_queue_wait", BY_TASK}
TASKS, SWITCHES, FORKS, READS, WRITES = 1_000, 100_000, 20_000, 5_000, 3_000


def disks(reads: int, writes: int) -> dict[str, dict[str, int]]:
    counts = {"read": reads, "write": writes, "discard": 0, "flush": 0}
    return {"biolatency": {f"{name}_254:0": count for name, count in counts.items()}}


BEFORE = Edge(KernelCounts(7, 8), 70, 80, 0, "0", disks(10, 20))
AFTER = Edge(
    KernelCounts(7 + SWITCHES, 8 + FORKS),
    70 + SWITCHES,
    80 + FORKS,
    0,
    "0",
    disks(10 + READS, 20 + WRITES),
)


def block(reads: int = READS, writes: int = WRITES) -> BlockTable:
    table = BlockTable()
    for kind, count in ((BLOCK_READ, reads), (BLOCK_WRITE, writes)):
        events = np.zeros((count, 4), np.uint64)
        events[:, 2] = DEVICE
        table.take(events, np.full(count, kind | BLOCK_IN_DISKSTATS, np.uint64))
    return table


def accounts(**changes: Any) -> Accounts:
    made = Accounts()
    made.take(summaries(*[{"state": SLOT_INTERRUPTIBLE, **changes} for _ in range(TASKS)]))
    return made


def checks(
    after: Edge = AFTER,
    accounts_: Accounts | None = None,
    table: BlockTable | None = None,
    sections: tuple[str, ...] = DEFAULT_SECTIONS,
    scoped: bool = True,
) -> dict[str, Check]:
    return run_checks((BEFORE, after), accounts_ or accounts(), table or block(), sections, scoped)


def run_checks(
    edges: tuple[Edge, Edge],
    made: Accounts,
    table: BlockTable,
    sections: tuple[str, ...] = DEFAULT_SECTIONS,
    scoped: bool = False,
) -> dict[str, Check]:
    collection = Collection(scoped, sections)
    collection.accounts = made
    if isinstance(fold := collection.folds.get("biolatency"), BiolatencyFold):
        fold.table = table
    return {check.name: check for check in collection.checks(edges, sections)}


def failed(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if not check.passed}


def reasons(found: dict[str, Check]) -> list[str]:
    return [reason.code for reason in _verdict(found).reasons]


def reasons_in_full(found: dict[str, Check]) -> list[str]:
    return [reason.text for reason in _verdict(found).reasons]


def _verdict(found: dict[str, Check]) -> Verdict:
    streams = {"runqlat": StreamCounts(SWITCHES, SWITCHES)}
    return judge(Findings(streams, (BEFORE, AFTER), [*found.values()]))


def test_what_agrees_passes() -> None:
    assert failed(checks()) == set()
    assert failed(checks(scoped=False)) == set()
    assert reasons(checks()) == []


@pytest.mark.parametrize(
    ("sections", "scoped", "names"),
    [
        (
            DEFAULT_SECTIONS,
            False,
            {
                "context_switches",
                "forks",
                "block_read_254:0",
                "block_write_254:0",
                *WAITS,
                "lifetimes",
            },
        ),
        (DEFAULT_SECTIONS, True, {"context_switches", "forks", *WAITS, "lifetimes", "cpu_time"}),
        (("runqlat",), True, {"context_switches", "forks", *WAITS}),
        (("exec",), False, {"forks"}),
        (("biolatency",), False, {"forks", "block_read_254:0", "block_write_254:0"}),
    ],
)
def test_every_check_that_the_sections_allow(
    sections: tuple[str, ...], scoped: bool, names: set[str]
) -> None:
    assert checks(sections=sections, scoped=scoped).keys() == names


TWO_PER_CENT = [0.98, 1.02]


@pytest.mark.parametrize("part", TWO_PER_CENT)
def test_switches_that_do_not_agree(part: float) -> None:
    found = checks(replace(AFTER, switches=70 + round(part * SWITCHES)))
    assert failed(found) == {"context_switches"}
    assert reasons(found) == ["check_failed"]


@pytest.mark.parametrize("part", TWO_PER_CENT)
def test_forks_that_do_not_agree(part: float) -> None:
    assert failed(checks(replace(AFTER, forks=80 + round(part * FORKS)))) == {"forks"}


@pytest.mark.parametrize("part", TWO_PER_CENT)
def test_requests_that_do_not_agree(part: float) -> None:
    found = checks(table=block(reads=round(part * READS)), scoped=False)
    assert failed(found) == {"block_read_254:0"}
    assert failed(checks(table=block(writes=round(part * WRITES)), scoped=False)) == {
        "block_write_254:0"
    }


def test_requests_around_the_edges_may_be_ours_only() -> None:
    """They completed while we were attached, but outside the kernel's two readings."""

    def outer(edge: Edge, reads: int) -> Edge:
        counts = edge.sections["biolatency"]
        moved = {**counts, "read_254:0": counts["read_254:0"] + reads}
        return replace(edge, outer={"biolatency": moved})

    edges = (outer(BEFORE, -300), outer(AFTER, 200))

    def passed(reads: int) -> bool:
        return run_checks(edges, accounts(), block(reads=reads))["block_read_254:0"].passed

    bound = READS // 100
    assert passed(READS)
    assert passed(READS + 500 + bound)
    assert not passed(READS + 501 + bound)
    assert not passed(READS - bound - 1)


def test_requests_of_an_operation_that_we_never_saw() -> None:
    found = checks(table=block(writes=0), scoped=False)
    assert found["block_write_254:0"].difference == -1
    assert failed(found) == {"block_write_254:0"}


@pytest.mark.parametrize("part", [0.8, 1.2])
def test_waits_that_do_not_agree(part: float) -> None:
    found = checks(accounts_=accounts(kernel_run_delay=round(2_000_000 * part)))
    assert failed(found) == WAITS
    assert (found[BY_TASK].ours, found[BY_TASK].kernel) == (0, TASKS)


def test_waits_of_tasks_that_make_up_for_each_other() -> None:
    made = Accounts()
    more, less = {"kernel_run_delay": 2_400_000}, {"kernel_run_delay": 1_600_000}
    made.take(summaries(*[{"state": SLOT_INTERRUPTIBLE, **row} for row in (more, less) * TASKS]))
    assert failed(checks(accounts_=made)) & WAITS == {BY_TASK}


@pytest.mark.parametrize("more", [-1_000_000, 1_000_000])
def test_waits_that_the_scheduler_dates_by_a_clock_that_stood_still(more: int) -> None:
    explained = {
        "scheduler_excess_ns": more,
        "kernel_runtime": 3_000_000 - more,
        "turn_excess_us": -more // 1_000,
    }
    found = checks(accounts_=accounts(kernel_run_delay=2_000_000 + more, **explained))
    assert failed(found) == set()
    # both figures are reported as measured
    assert found["run_queue_wait"].ours == TASKS * 2_000_000
    assert found["run_queue_wait"].kernel == TASKS * (2_000_000 + more)
    assert found["run_queue_wait"].explained == TASKS * more
    assert failed(checks(accounts_=accounts(**explained))) == WAITS


@pytest.mark.parametrize("part", [0.95, 1.05])
def test_cpu_time_that_does_not_agree(part: float) -> None:
    found = checks(accounts_=accounts(kernel_runtime=round(3_000_000 * part)))
    assert failed(found) == {"cpu_time"}


@pytest.mark.parametrize("part", [0.98, 1.02])
def test_lives_that_are_not_accounted_for(part: float) -> None:
    """The bound is 0.5 % of a lifetime. The blocked time, changed here by 2 %, is half of one."""
    found = checks(accounts_=accounts(blocked_ns=round(5_000_000 * part)))
    assert failed(found) == {"lifetimes"}


# --- one check


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
    because="its clock stood still",
    consequence="Take runqlat as uncertain by that share",
)


def test_a_failed_check_says_what_was_explained_and_allowed_and_what_follows() -> None:
    assert FAILED.text == (
        "4 ms by the agent's account, 1 ms by the kernel's. 2.5 ms less is expected of the"
        " kernel's, because its clock stood still. That leaves 500 µs, 50 % of the latter,"
        " more than the allowed 200 µs. Take runqlat as uncertain by that share."
    )
    assert reasons_in_full({FAILED.name: FAILED}) == [f"run_queue_wait: {FAILED.text}"]


def test_a_check_that_passed_says_no_consequence() -> None:
    text = replace(FAILED, explained=-3_000_000).text
    assert "That leaves 0 ns, 0 % of the latter, within the allowed 200 µs" in text
    assert "uncertain" not in text


def test_stolen_time_is_named_where_it_is_allowed_for() -> None:
    text = replace(FAILED, stolen=20_000_000).text
    assert "the allowed 20.2 ms (20 ms of it because a hypervisor took CPUs away)" in text


def test_figures_that_look_equal_are_told_apart() -> None:
    """What is left exceeds what is allowed by 1 ns."""
    text = replace(FAILED, ours=3_700_001, explained=-2_500_000).text
    assert "200,001 ns" in text
    assert "the allowed 200,000 ns" in text


def test_switches_between_the_readings_of_an_edge_may_be_ours_or_not() -> None:
    """The agent may lose the CPU between reading its own count and the kernel's."""
    later = replace(AFTER.kernel, context_switches=AFTER.kernel.context_switches + 3_000)
    ours = 70 + SWITCHES + 3_000
    assert failed(checks(replace(AFTER, switches=ours))) == {"context_switches"}
    assert failed(checks(replace(AFTER, switches=ours, later=later))) == set()
    assert failed(checks(replace(AFTER, switches=ours + 60, later=later))) == {"context_switches"}


def test_stolen_ticks_are_allowed_for_where_clocks_are_compared() -> None:
    """0.2 s are missing from the waits and the CPU time of one task."""
    made = accounts(kernel_run_delay=2_200_000, kernel_runtime=3_200_000)
    assert failed(checks(accounts_=made)) == {*WAITS, "cpu_time"}
    stolen = replace(AFTER, kernel=replace(AFTER.kernel, stolen_ticks=20))
    assert failed(checks(stolen, made)) == set()
    assert checks(stolen, made)["cpu_time"].stolen == 21 * TICK_NS
    assert checks(stolen, accounts(blocked_ns=5_300_000))["lifetimes"].stolen == 0


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
        "text": "3 u by the agent's account, 0 u by the kernel's. The difference is 3 u within the"
        " allowed 5 u.",
    }


def test_what_a_short_run_may_be_off_by() -> None:
    """The allowance covers two waits and an interruption between two clock readings, no more."""
    row = {"waits": 2, "kernel_pcount": 2, "kernel_run_delay": 1_000}
    row["wait_ns"] = 1_000 + 2 * NS_PER_SWITCH + INTERRUPTION_NS
    assert not failed(short_run(row)) & WAITS
    row["wait_ns"] += 1
    assert failed(short_run(row)) >= {"run_queue_wait"}


def short_run(row: dict[str, int]) -> dict[str, Check]:
    made = Accounts()
    made.take(summaries(row))
    return checks(accounts_=made)


def test_slacks_are_too_small_to_hide_anything() -> None:
    assert max(SLACK, DISK_SLACK) < 0.01 * 10_000
    # 2 % of 10 ms
    assert INTERRUPTION_NS <= 0.02 * 10_000_000


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
    ("value", "unit", "said"),
    [
        (1, "switches", "1 switch"),
        (1.2, "forks", "1 fork"),
        (2, "tasks", "2 tasks"),
        (0, "u", "0 u"),
    ],
)
def test_one_of_something_is_not_many(value: float, unit: str, said: str) -> None:
    assert amount(value, unit) == said


@pytest.mark.parametrize(
    ("part", "said"), [(62.5, "625 %"), (0.2, "2 %"), (1e-9, "less than 0.01 %"), (0, "0 %")]
)
def test_a_percentage_has_no_exponent(part: float, said: str) -> None:
    assert percent(part, 10) == said


@pytest.mark.parametrize(
    ("explained", "cause"), [(5, "some sleep as waiting"), (-5, "stands still")]
)
def test_a_wait_is_explained_by_what_makes_it_longer_or_shorter(explained: int, cause: str) -> None:
    text = _waits(Accounts(waits_ns=100, waits_explained_ns=explained), 0).text
    assert cause in text
