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
from agent.evidence.checks import SLACK, Check
from agent.evidence.verdict import Findings, Verdict, judge
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


def test_a_failed_check_is_a_reason_in_words() -> None:
    found = checks(replace(AFTER, switches=70 + SWITCHES // 2))
    assert reasons_in_full(found) == [f"context_switches: {found['context_switches'].text}"]


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


def test_by_accounting_stolen_ticks_are_in_no_turn_that_was_preempted() -> None:
    """0.2 s are missing from the CPU time of one task, by the scheduler's account as by ours."""
    made = accounts(oncpu_ns=2_800_000, kernel_runtime=2_800_000)
    made.by_accounting = True
    assert failed(checks(accounts_=made)) == {"lifetimes"}
    stolen = replace(AFTER, kernel=replace(AFTER.kernel, stolen_ticks=20))
    assert failed(checks(stolen, made)) == set()
    made.by_accounting = False
    assert failed(checks(stolen, made)) == {"lifetimes"}


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
