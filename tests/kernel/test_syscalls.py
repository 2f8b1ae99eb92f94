"""Syscall counts: every call of a program in scope, and no more than it made."""

from pathlib import Path

import pytest
from fakes.checks import skipped_calls
from fakes.needs import needs_32_bit_calls
from fakes.program import program
from fakes.real_agent import RealAgent

CALLS = 5_000
REQUESTS = 500
NAMED = ("futex", "fsync", "openat", "read", "write")

WAIT_MS = 20
"""How long tests/kernel/programs/compat.py waits in one of its calls."""

OWN = 200
"""Calls that the interpreter may add: waiting for the word and reporting the end."""


def test_each_of_the_five_grows_by_what_was_made(agent: RealAgent, tmp_path: Path) -> None:
    with program("calls", CALLS, tmp_path) as calls, agent.run() as run:
        calls.work()
    counts = run.evidence["syscall_counts"]
    least = CALLS - skipped_calls(run.evidence)
    assert all(counts[name] >= least for name in NAMED), counts
    assert counts["all"]["getppid"] >= least


def test_in_a_scope_the_counts_are_its_own(agent: RealAgent, tmp_path: Path) -> None:
    """A second program makes the same calls at the same time; they are not counted."""
    with (
        program("calls", CALLS, tmp_path) as calls,
        program("calls", CALLS, tmp_path) as others,
        agent.run(scope=calls.scope) as run,
    ):
        others.tell()
        calls.work()
        others.hear()
    counts = run.evidence["syscall_counts"]
    least = CALLS - skipped_calls(run.evidence)
    for name in NAMED:
        assert least <= counts[name] <= CALLS + OWN, (name, counts)
    assert least <= counts["all"]["getppid"] <= CALLS + OWN


def test_what_metrics_show_is_what_evidence_says(agent: RealAgent, tmp_path: Path) -> None:
    with program("calls", CALLS, tmp_path) as calls, agent.run(variant="syscalls") as run:
        calls.work()
    lines = [
        line
        for line in agent.metrics().splitlines()
        if line.startswith("chainbench_syscall_count_total") and 'variant="syscalls"' in line
    ]
    counts = run.evidence["syscall_counts"]
    for name in NAMED:
        (line,) = (line for line in lines if f'syscall="{name}"' in line)
        assert float(line.rpartition(" ")[2]) == counts[name]
    (other,) = (line for line in lines if 'syscall="other"' in line)
    named = sum(counts[name] for name in NAMED)
    assert float(other.rpartition(" ")[2]) == sum(counts["all"].values()) - named


@pytest.mark.thorough
def test_the_agents_own_calls_are_none_of_the_machines(
    agent: RealAgent, own_agent: RealAgent
) -> None:
    """It waits in epoll_wait() several times for each request; another agent counts that."""
    with own_agent.run() as other, agent.run() as own:
        for _ in range(REQUESTS):
            agent.status()
    theirs, ours = (
        run.evidence["syscall_counts"]["all"].get("epoll_wait", 0) for run in (other, own)
    )
    assert theirs - ours >= REQUESTS


@needs_32_bit_calls
def test_calls_of_the_32_bit_table_stand_apart(agent: RealAgent) -> None:
    """They do so even if a 64-bit program makes them; the same numbers mean other calls there."""
    with program("compat", CALLS) as compat, agent.run(scope=compat.scope) as run:
        compat.work()
    counts = run.evidence["syscall_counts"]["all"]
    assert CALLS + 1 - skipped_calls(run.evidence) <= counts["compat"] <= CALLS + 1
    assert {"writev", "swapon"}.isdisjoint(counts)
    reasons = {row["reason"]: row for row in run.evidence["offcpu"]["top_reasons"]}
    assert reasons["compat_syscall"]["count"] == 1
    # the call counts from its start, and the block from when the task has left the CPU
    assert reasons["compat_syscall"]["ms"] > WAIT_MS / 2


@needs_32_bit_calls
def test_they_have_a_row_of_their_own_on_the_whole_machine(agent: RealAgent) -> None:
    with program("compat", CALLS) as compat, agent.run() as run:
        compat.work()
    counts = run.evidence["syscall_counts"]["all"]
    assert counts["compat"] >= CALLS + 1 - skipped_calls(run.evidence)
    assert counts.get("writev", 0) < CALLS
