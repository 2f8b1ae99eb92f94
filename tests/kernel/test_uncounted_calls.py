"""What no count of syscalls shows: calls refused before they enter the kernel, and io_uring."""

from typing import Any

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.needs import needs_io_uring
from fakes.program import program
from fakes.real_agent import RealAgent

from agent.streams.shared.syscall_names import syscall_names

CALLS = 1_000
EXECS = CALLS // 10
MANY = 300
NUMBERS = {name: number for number, name in syscall_names().items()}
REFUSED = (NUMBERS["getppid"], NUMBERS["execve"])
NONE = {"seccomp_tasks": 0, "io_uring_tasks": 0}


def run_of_refused_calls(agent: RealAgent, **body: Any) -> Any:
    with program("filtered", *REFUSED) as filtered, agent.run(scope=filtered.scope, **body) as run:
        assert filtered.work(str(CALLS))["refused"] == CALLS + EXECS
    assert run.evidence["completeness"]["verdict"] == "complete", run.evidence["completeness"]
    return run.evidence


def test_tasks_under_a_filter_are_counted(agent: RealAgent) -> None:
    evidence = run_of_refused_calls(agent)
    assert evidence["completeness"]["seccomp_tasks"] == 1
    counts = evidence["syscall_counts"]["all"]
    assert counts["getuid"] == CALLS
    assert "getppid" not in counts
    assert evidence["exec"]["attempts"] == 0


def test_where_returns_are_seen_so_are_refused_calls(agent: RealAgent) -> None:
    evidence = run_of_refused_calls(agent, details=["syscalls", "exec_failures"])
    rows = evidence["syscall_details"]
    assert (rows["getppid"]["refused"], rows["getppid"]["count"]) == (CALLS, 0)
    assert rows["execve"]["refused"] == EXECS
    assert (rows["getuid"]["refused"], rows["getuid"]["count"]) == (0, CALLS)
    assert all(row["errors"] == 0 for row in rows.values()), rows
    assert "getppid" not in evidence["syscall_counts"]["all"]
    execs = evidence["exec"]
    assert execs["failures"] == {"EPERM": EXECS}
    assert (execs["attempts"], execs["failures_missed"]) == (EXECS, 0)


@pytest.mark.thorough
def test_refused_execs_are_counted_where_the_kernel_cannot_call_back(copy: Copy) -> None:
    copy.inject(faults.kernel_lacks, "bpf_task_work_schedule_resume_impl")
    with copy.launched() as own_agent:
        evidence = run_of_refused_calls(own_agent, details=["syscalls", "exec_failures"])
    assert evidence["exec"]["failures"] == {"EPERM": EXECS}
    assert evidence["exec"]["attempts"] == EXECS


def test_a_filter_of_before_the_run_counts_for_children_too(agent: RealAgent) -> None:
    """refuse.py has a filter from its start, and is a shell by the time of the run."""
    with (
        program(
            "refuse", NUMBERS["getppid"], "/bin/sh", "-c", "echo {}; read x; /bin/true; :"
        ) as shell,
        agent.run(scope=shell.scope) as run,
    ):
        shell.tell()
        shell.ended()
    assert run.evidence["exec"]["exec_count"] == 1
    assert run.evidence["completeness"]["seccomp_tasks"] == 2


def test_each_of_many_is_counted_once(agent: RealAgent) -> None:
    """The kernel reads an iterator into 32 KiB, and visits a task again that has no room there."""
    many = f'for n in $(seq {MANY}); do sleep 60 & p="$p $!"; done; echo {{}}; read x; kill $p'
    with (
        program("refuse", NUMBERS["getppid"], "/bin/sh", "-c", many) as shell,
        agent.run(scope=shell.scope) as run,
    ):
        pass
    assert run.evidence["completeness"]["seccomp_tasks"] == MANY + 1


def test_without_either_there_is_none(agent: RealAgent) -> None:
    with program("blocked") as blocked, agent.run(scope=blocked.scope) as run:
        blocked.work("sleep 0.01")
    assert {name: run.evidence["completeness"][name] for name in NONE} == NONE


@needs_io_uring
def test_tasks_with_an_io_uring_are_counted(agent: RealAgent) -> None:
    with (
        program("uring", NUMBERS["io_uring_setup"]) as uring,
        agent.run(scope=uring.scope) as run,
    ):
        assert [uring.work(owner)["error"] for owner in ("own", "child")] == [0, 0]
    assert run.evidence["completeness"]["io_uring_tasks"] == 2
