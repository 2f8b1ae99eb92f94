"""``run`` under a filter that refuses a call of its own: one line says what to do instead."""

import errno
import os
import sys
from pathlib import Path

import pytest
from fakes.run_agent import RunAgent
from fakes.run_command import finished, line

from agent.cli import main
from agent.run import command as run_command
from agent.run import filters
from agent.run.filters import INSTEAD, instead
from agent.run.held import CannotHold
from agent.streams.shared.syscall_names import syscall_number

TOP = Path(__file__).parents[2]
REFUSE = TOP / "tests/kernel/programs/refuse.py"


@pytest.mark.parametrize("how", ["", ":hidden"])
@pytest.mark.parametrize(
    "call",
    [
        *("kill", "wait4", "waitid", "rt_sigtimedwait", "getrusage", "readv", "writev"),
        *("pipe2", "clone"),
    ],
)
def test_a_call_of_its_own_that_is_refused_is_one_line(
    agent: RunAgent, call: str, how: str, tmp_path: Path
) -> None:
    refused = [sys.executable, "-ES", str(REFUSE), f"{syscall_number(call)}{how}"]
    command = ["setpriv", "--no-new-privs", *refused, *line("run", "--agent", agent.url)]
    done = finished([*command, "--", "sh", "-c", "touch begun"], cwd=tmp_path)
    assert done.returncode == 125, done.stderr
    assert not (tmp_path / "begun").exists()
    [said] = done.stderr.splitlines()
    assert said.startswith("chainbench-agent run: ")
    assert os.strerror(errno.ENOSYS if how else errno.EPERM) in said
    assert said.endswith(f": {INSTEAD}")


def test_waiting_for_git_is_no_exception(agent: RunAgent) -> None:
    refused = [sys.executable, "-ES", str(REFUSE), f"{syscall_number('waitid')}:hidden"]
    command = ["setpriv", "--no-new-privs", *refused, *line("run", "--agent", agent.url)]
    done = finished([*command, "--", "true"], cwd=TOP)
    assert done.returncode == 125, done.stderr
    why = f"waitid(2): {os.strerror(errno.ENOSYS)}: {INSTEAD}"
    assert done.stderr == f"chainbench-agent run: {why}\n"


@pytest.mark.parametrize(
    ("status", "number", "said"),
    [
        ("Seccomp:\t2\n", errno.EPERM, INSTEAD),
        ("Seccomp:\t0\n", errno.EPERM, ""),
        (None, errno.EPERM, ""),
        (None, errno.ENOSYS, INSTEAD),
        ("Seccomp:\t2\n", errno.EIO, ""),
        ("Seccomp:\t2\n", None, ""),
    ],
)
def test_a_filter_is_blamed_only_where_it_may_be_the_reason(
    status: str | None,
    number: int | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if status is not None:
        (tmp_path / "status").write_text(f"Name:\tpython\n{status}Seccomp_filters:\t1\n")
    monkeypatch.setattr(filters, "STATUS", tmp_path / "status")
    assert instead(number) == said


@pytest.fixture
def in_force(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have a filter be in force, as in each container of Docker's."""
    (tmp_path / "status").write_text("Seccomp:\t2\n")
    monkeypatch.setattr(filters, "STATUS", tmp_path / "status")


@pytest.mark.usefixtures("in_force")
def test_an_error_once_a_command_may_have_run_is_no_filters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status 125 would say that it was not run."""

    def fail(*_: object) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(run_command, "run_command", fail)
    with pytest.raises(PermissionError):
        main(["run", "--commit", "", "--", "true"])


@pytest.mark.usefixtures("in_force")
def test_what_the_child_may_not_do_is_no_filters() -> None:
    """A root without CAP_SETUID becomes nobody else (--user)."""
    why = f"cannot run sh: {os.strerror(errno.EPERM)}"
    assert str(CannotHold("sh", errno.EPERM)) == why
    assert str(CannotHold("sh", errno.EPERM, is_ours=True)) == f"{why}: {INSTEAD}"
