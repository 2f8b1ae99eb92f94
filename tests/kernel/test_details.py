"""Optional details of a run: times and errors of syscalls, failed execs, functions of waits."""

import json
import time
from typing import Any

import pytest
import requests
from fakes.durations import assert_lasted, now_ms
from fakes.program import Program, program
from fakes.real_agent import RealAgent, hooks

COUNT = 300
SECONDS = 0.5

EXIT_CALLS = ("exit", "exit_group")


def details_of(
    agent: RealAgent, source: Program, work: str, details: tuple[str, ...] = ("syscalls",)
) -> Any:
    with agent.run(scope=source.scope, details=list(details)) as run:
        source.work(work)
    return run.evidence


def test_nothing_more_is_attached_unless_asked_for(agent: RealAgent) -> None:
    with agent.run() as plain:
        pass
    with agent.run(details=["syscalls"]) as detailed:
        pass
    assert "sys_exit" not in hooks(plain.evidence)
    assert hooks(detailed.evidence).count("sys_exit") == 1
    assert "syscall_details" not in plain.evidence
    assert "syscalls" not in plain.evidence["manifest"]["details"]
    assert detailed.evidence["manifest"]["details"]["syscalls"] == ["tp_btf/sys_exit"]


def test_failing_calls_are_counted_as_such(agent: RealAgent) -> None:
    with program("returns") as returns:
        evidence = details_of(agent, returns, f"failing_opens {COUNT}")
    rows = evidence["syscall_details"]
    assert rows["openat"]["errors"] == COUNT
    assert rows["openat"]["count"] == evidence["syscall_counts"]["openat"]
    assert all(row["errors"] == 0 for name, row in rows.items() if name != "openat")


def test_a_call_lasts_as_long_as_its_callers_clock_says(agent: RealAgent) -> None:
    with (
        program("blocked") as blocked,
        agent.run(scope=blocked.scope, details=["syscalls"]) as run,
    ):
        own_ms = blocked.work(f"sleep {SECONDS}")["ms"]
    row = run.evidence["syscall_details"]["clock_nanosleep"]
    assert row["count"] == 1
    assert_lasted(row["total_ms"], run.evidence, own_ms)


def test_a_call_that_is_open_at_both_ends_counts_as_long_as_the_run(agent: RealAgent) -> None:
    with program("blocked") as blocked:
        blocked.work("hold")
        with agent.run(scope=blocked.scope, details=["syscalls"]) as run:
            started = now_ms()
            time.sleep(SECONDS)
            stopping = now_ms()
        blocked.work()
    row = run.evidence["syscall_details"]["read"]
    assert (row["count"], row["in_flight"]) == (0, 1)
    length_ms = run.evidence["duration_s"] * 1000
    assert row["total_ms"] <= length_ms
    assert_lasted(row["total_ms"], run.evidence, stopping - started, length_ms)


def test_an_interrupted_call_is_no_error(agent: RealAgent) -> None:
    with program("returns") as returns:
        evidence = details_of(agent, returns, "interrupted 10")
    row = evidence["syscall_details"]["pause"]
    assert (row["count"], row["interrupted"], row["errors"]) == (10, 10, 0)


def test_a_call_that_returns_eintr_itself_is_no_error(agent: RealAgent) -> None:
    """epoll_wait() is never restarted: it returns EINTR, by itself."""
    with program("returns") as returns:
        evidence = details_of(agent, returns, "woken 10")
    row = evidence["syscall_details"]["epoll_wait"]
    assert (row["count"], row["interrupted"], row["errors"]) == (10, 10, 0)


@pytest.mark.parametrize("way", ["children", "spawned"])
def test_calls_of_tasks_that_come_and_go_all_return(agent: RealAgent, way: str) -> None:
    """Calls made, less those that never return, are those that returned plus those still open."""
    with program("returns") as returns:
        evidence = details_of(agent, returns, f"{way} 20")
    counts = evidence["syscall_counts"]["all"]
    stream = evidence["completeness"]["streams"]["syscalls"]
    made = sum(counts.values()) - sum(counts.get(name, 0) for name in EXIT_CALLS)
    returned = stream["received"] - stream["in_flight_at_start"]
    assert returned + stream["in_flight_at_stop"] == made
    assert stream["unmatched"] == stream["collided"] == stream["clamped"] == 0


def test_an_exec_by_a_thread_returns_from_its_call(agent: RealAgent) -> None:
    """It returns with the thread id of the leader, not with the one that made the call."""
    with program("execs") as execs:
        order = json.dumps({"how": "thread", "path": "/bin/true", "count": 5})
        evidence = details_of(agent, execs, order)
    assert evidence["exec"]["exec_count"] == 5
    row = evidence["syscall_details"]["execve"]
    assert (row["count"], row["errors"], row["in_flight"]) == (5, 0, 0)
    assert row["total_ms"] > 0
    assert evidence["completeness"]["streams"]["syscalls"]["unmatched"] == 0


def waits_in(evidence: Any, prefix: str) -> float:
    """Return the ms in functions with this prefix.

    Kernels rename functions (futex_wait_queue, pipe_read).
    """
    rows = evidence["offcpu"]["wait_functions"]
    return float(sum(row["ms"] for row in rows if row["function"].startswith(prefix)))


@pytest.mark.thorough(but="ring-futex-prefixes0-clock")
@pytest.mark.parametrize("timing", ["clock", "accounting"])
@pytest.mark.parametrize(
    ("way", "prefixes"),
    [
        ("futex", ("futex_",)),
        ("read", ("pipe_read", "anon_pipe_read")),
        ("sleep", ("do_nanosleep", "hrtimer_nanosleep")),
        ("page_fault", ("handle_userfault",)),
    ],
)
def test_a_wait_is_named_by_its_function(
    agent: RealAgent, way: str, prefixes: tuple[str, ...], timing: str
) -> None:
    with (
        program("blocked") as blocked,
        agent.run(scope=blocked.scope, details=["wait_functions"], timing=timing) as run,
    ):
        own_ms = blocked.work(f"{way} {SECONDS}")["ms"]
    ours = sum(waits_in(run.evidence, prefix) for prefix in prefixes)
    assert_lasted(ours, run.evidence, own_ms)


def test_a_wait_that_is_open_at_the_stop_is_named_too(agent: RealAgent) -> None:
    with program("blocked") as blocked:
        with agent.run(scope=blocked.scope, details=["wait_functions"]) as run:
            since = blocked.work("hold")["since"] / 1e6
            time.sleep(SECONDS)
            stopping = now_ms()
        stopped = now_ms()
        blocked.work()
    ours = waits_in(run.evidence, "pipe_read") + waits_in(run.evidence, "anon_pipe_read")
    assert_lasted(ours, run.evidence, stopping - since, stopped - since)


def test_sampled_and_unsampled_waits_add_up(agent: RealAgent) -> None:
    """The program blocks far more often than stacks are sampled."""
    with (
        program("pingpong", 20_000) as pingpong,
        agent.run(scope=pingpong.scope, details=["wait_functions"]) as run,
    ):
        pingpong.work()
    offcpu = run.evidence["offcpu"]
    rows, unsampled = offcpu["wait_functions"], offcpu["wait_functions_unsampled"]
    samples = sum(row["samples"] for row in rows)
    assert 0 < samples < unsampled["count"]
    assert samples + unsampled["count"] == offcpu["count"]
    assert sum(row["ms"] for row in rows) + unsampled["ms"] == pytest.approx(offcpu["total_ms"])
    assert not [row for row in rows if "schedule" in row["function"][:8]]


def test_waits_of_the_whole_machine_are_not_sampled(agent: RealAgent) -> None:
    answer = requests.post(f"{agent.url}/start", json={"details": ["wait_functions"]}, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["field"] == "details"


def test_without_being_asked_waits_have_no_functions(agent: RealAgent) -> None:
    with program("blocked") as blocked, agent.run(scope=blocked.scope) as run:
        blocked.work("sleep 0.01")
    assert not [name for name in run.evidence["offcpu"] if name.startswith("wait_functions")]
