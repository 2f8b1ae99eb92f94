"""Calls that the kernel restarts as restart_syscall(): the reason is the call interrupted."""

import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.durations import assert_lasted
from fakes.needs import needs
from fakes.proc import state
from fakes.program import Program, program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

from agent.model import TIMINGS
from agent.streams.shared.syscall_names import syscall_names

SECONDS = 0.6
NUMBERS = {name: number for number, name in syscall_names().items()}
# arm64 has no poll(): the C library makes it of ppoll(), which is restarted under its own name
CALLS = [
    pytest.param("poll", marks=needs("poll" in NUMBERS, "a call poll()")),
    "futex",
    "nanosleep",
    "clock_nanosleep",
]

pytestmark = needs(platform.machine() in ("x86_64", "aarch64"), "registers that are known")


def is_in(pid: int, call: str) -> bool:
    """Return whether a process is blocked in this call (proc(5))."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == str(NUMBERS[call])


def interrupt(blocked: Program, call: str) -> None:
    """Have the program's call interrupted by a stop, and return once it goes on."""
    eventually(lambda: is_in(blocked.pid, call))
    os.kill(blocked.pid, signal.SIGSTOP)
    eventually(lambda: state(blocked.pid) == "T")
    os.kill(blocked.pid, signal.SIGCONT)
    eventually(lambda: is_in(blocked.pid, "restart_syscall"))


def reasons(evidence: Any) -> dict[str, Any]:
    return {row["reason"]: row for row in evidence["offcpu"]["top_reasons"]}


@pytest.mark.thorough(but="ring-poll-clock")
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("call", CALLS)
def test_an_interrupted_call_keeps_its_name(agent: RealAgent, call: str, timing: str) -> None:
    with (
        program("blocked") as blocked,
        agent.run(scope=blocked.scope, timing=timing, details=["syscalls"]) as run,
    ):
        blocked.tell(f"{call} {SECONDS}")
        interrupt(blocked, call)
        own_ms = blocked.hear()["ms"]
    rows = reasons(run.evidence)
    assert "restart_syscall" not in rows
    blocked_ms = rows[call]["ms"] + run.evidence["offcpu"]["stopped"]["by_signal_ms"]
    assert_lasted(blocked_ms, run.evidence, own_ms)
    # a count of calls is one of entries, and the second entry has a name of its own
    counts = run.evidence["syscall_counts"]["all"]
    assert counts["restart_syscall"] == 1
    assert run.evidence["syscall_details"]["restart_syscall"]["count"] == 1
    assert run.evidence["syscall_details"][call]["interrupted"] == 1


@contextmanager
def interrupted_before(call: str) -> Iterator[Program]:
    with program("blocked") as blocked:
        blocked.tell(f"{call} 60")
        interrupt(blocked, call)
        try:
            yield blocked
        finally:
            blocked.kill()


@pytest.mark.thorough(but="ring-poll-clock")
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_interrupted_before_the_run_has_its_name(
    agent: RealAgent, call: str, timing: str
) -> None:
    with (
        interrupted_before(call) as blocked,
        agent.run(scope=blocked.scope, timing=timing) as run,
    ):
        time.sleep(SECONDS)
    rows = reasons(run.evidence)
    assert rows.keys() == {call}
    assert rows[call]["count"] == 1
    assert rows[call]["ms"] >= SECONDS * 1000


@pytest.mark.thorough
def test_what_is_not_known_is_called_restart_syscall(copy: Copy) -> None:
    """A kernel before 6.2, or one that restarts by another function."""
    copy.inject(faults.kernel_lacks, "do_restart_poll", "do_no_restart_syscall")
    with (
        copy.launched() as own_agent,
        interrupted_before("futex") as blocked,
        own_agent.run(scope=blocked.scope) as run,
    ):
        time.sleep(SECONDS)
    assert reasons(run.evidence).keys() == {"restart_syscall"}
