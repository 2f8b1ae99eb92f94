"""``run --user``: whose process the command is. The agent is a fake, the users are real."""

import grp
import os
import pwd
import signal
from pathlib import Path

import pytest
from fakes.run_agent import RunAgent, state
from fakes.run_command import finished, line, run
from fakes.users import OTHER, as_reading_user, as_root
from fakes.waiting import eventually

from agent.run.user import NOGROUP, user_of
from agent.streams.supervisor.compilation import DISTRIBUTION_PYTHON

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

ANYONES = (DISTRIBUTION_PYTHON, "-ISc")
"""That of the tests may lie in a folder of root's alone."""
NOBODY = pwd.getpwnam("nobody")
WHO = """import os
print(os.getresuid(), os.getresgid(), sorted(os.getgroups()))
print(*(os.environ[name] for name in ("HOME", "USER", "LOGNAME", "SHELL", "KEPT")))
print([row for row in open("/proc/self/status") if row.startswith("CapEff")][0].split()[1])
"""


@as_root
@pytest.mark.parametrize("name", ["nobody", str(NOBODY.pw_uid)])
def test_the_command_is_that_users(agent: RunAgent, name: str) -> None:
    done = finished(
        [
            "env",
            "KEPT=1",
            *line("run", "--agent", agent.url, "--user", name, "--", *ANYONES, WHO),
        ]
    )
    assert done.returncode == 0, done.stderr
    ids, environment, capabilities = done.stdout.splitlines()
    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    groups = sorted(os.getgrouplist(NOBODY.pw_name, gid))
    assert ids == f"{(uid,) * 3} {(gid,) * 3} {groups}"
    assert environment == f"{NOBODY.pw_dir} nobody nobody {NOBODY.pw_shell} 1"
    assert int(capabilities, 16) == 0


def uid_of(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.partition("\nUid:")[2].split()[0]


@as_root
def test_it_is_held_as_that_user_and_ends_with_run(agent: RunAgent) -> None:
    """The signal that tells a process that its parent has ended is lost with the change of user."""
    seen: list[tuple[str, str]] = []
    agent.on_start = lambda pid: seen.append((state(pid), uid_of(pid)))
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    command = line("run", "--agent", agent.url, "--user", "nobody", "--", *ANYONES, script)
    read, write = os.pipe()
    parent = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)]
    )
    os.close(write)
    with open(read) as output:
        child = int(output.readline())
    assert seen == [("T", str(NOBODY.pw_uid))]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    eventually(lambda: state(child) in ("", "Z"))


@as_root
def test_what_that_user_may_not_run(agent: RunAgent, tmp_path: Path) -> None:
    script = tmp_path / "mine"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    done = run(agent, [str(script)], "--user", "nobody")
    assert done.returncode == 126
    assert "Permission denied" in done.stderr


@as_root
def test_each_run_of_a_series_is_that_users(agent: RunAgent) -> None:
    series = ("--runs", "2", "--show-output", "--prepare", "id -un")
    done = run(agent, ["sh", "-c", "id -un >&2"], "--user", "nobody", *series)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nobody\n") == 2
    assert done.stdout.split() == [pwd.getpwuid(0).pw_name] * 2, "helpers are the caller's"


@as_root
def test_only_root_may(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--user", "nobody", "--", "true")
    done = finished([*as_reading_user(OTHER), *command])
    assert done.returncode == 2
    assert "only root can run a command as another user" in done.stderr


@as_root
@pytest.mark.parametrize("name", ["no-such-user", "", "-1", "4294967295", "99999999999999999999"])
def test_who_does_not_exist(agent: RunAgent, name: str) -> None:
    done = finished(line("run", "--agent", agent.url, f"--user={name}", "--", "true"))
    assert done.returncode == 2
    assert "argument --user: " in done.stderr
    assert agent.routes == []


def unused_number() -> int:
    """Return a number that is neither a user's nor a group's."""
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
    return next(number for number in range(50_000, 60_000) if number not in taken)


def test_a_number_without_an_account_has_a_group_without_rights() -> None:
    uid = unused_number()
    user = user_of(str(uid))
    assert (user.name, user.uid, user.gid, user.groups) == (str(uid), uid, uid, (uid,))


def test_a_number_that_only_a_group_has_is_not_in_that_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether a machine has such a group depends on what is installed."""
    group = grp.struct_group(("disks", "x", unused_number(), []))
    monkeypatch.setattr(grp, "getgrgid", {group.gr_gid: group}.__getitem__)
    assert user_of(str(group.gr_gid)).gid == NOGROUP
