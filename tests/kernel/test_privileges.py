"""Privileges: the serving process has none, and few are needed to collect."""

import contextlib
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes import faults
from fakes.copied_package import Copy
from fakes.processes import Launched, held, launched, service, status_field
from fakes.real_agent import RealAgent, assert_unavailable
from fakes.users import with_rights_to_lose
from fakes.waiting import eventually

from agent.client.interpreter import Invocation, own_module
from agent.sections.probes import DEFAULT_SECTIONS
from agent.streams.drain.transport import FOLLOW_INTERVAL_S
from agent.streams.supervisor.compilation import interpreters

SOMEBODY = 64_321
"""The uid of an ordinary user, which no account has."""

BOTH = "+bpf,+perfmon"
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


pytestmark = with_rights_to_lose


def pids(agent: RealAgent) -> dict[str, int]:
    return {p["role"]: p["pid"] for p in agent.status()["processes"]}


def nothing(pid: int) -> bool:
    """Return whether a process has no capability in any set and no way to gain one."""
    capabilities = {name: int(status_field(pid, name), 16) for name in CAPABILITY_SETS}
    return not any(capabilities.values()) and status_field(pid, "NoNewPrivs") == "1"


def test_the_process_that_serves_has_no_privileges(agent: RealAgent) -> None:
    pid = pids(agent)["agent"]
    assert nothing(pid)
    uids = set(status_field(pid, "Uid").split())
    assert len(uids) == 1
    assert uids.isdisjoint({"0", "65534"})
    assert "0" not in status_field(pid, "Gid").split()
    assert status_field(pid, "Groups") == ""
    everybody = {path.name: uid_of(path) for path in Path("/proc").glob("[0-9]*")}
    assert [name for name, uid in everybody.items() if uid in uids] == [str(pid)]


def test_the_process_that_serves_has_a_filter_and_the_supervisor_none(agent: RealAgent) -> None:
    found = pids(agent)
    threads = [int(path.name) for path in Path(f"/proc/{found['agent']}/task").iterdir()]
    assert {status_field(thread, "Seccomp:") for thread in threads} == {"2"}
    assert {status_field(thread, "NoNewPrivs") for thread in threads} == {"1"}
    assert status_field(found["supervisor"], "Seccomp:") == status_field(os.getpid(), "Seccomp:")


def test_the_process_that_serves_can_neither_bpf_nor_exec_nor_ptrace(copy: Copy) -> None:
    copy.inject(faults.tries_refused_calls)
    with copy.launched() as agent:
        assert "tried: EPERM EPERM EPERM EPERM EPERM\n" in agent.log
        with agent.run(sections=["exec"]):
            pass


def uid_of(process: Path) -> str:
    try:
        return status_field(int(process.name), "Uid").split()[0]
    except OSError:
        return ""


def test_only_the_supervisor_holds_programs(agent: RealAgent) -> None:
    processes = pids(agent)
    serving, supervisor = processes["agent"], processes["supervisor"]
    with agent.run():
        assert held(supervisor, "prog")
        assert held(supervisor, "link")
        assert not held(serving, "prog")
        assert not held(serving, "link")
        assert held(serving, "map") < held(supervisor, "map")


def test_no_process_keeps_the_compiler_loaded(agent: RealAgent) -> None:
    for pid in pids(agent).values():
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "python" in mapped
        assert not [name for name in ("libbcc", "LLVM", "clang") if name in mapped]


def test_the_supervisor_has_no_network(agent: RealAgent) -> None:
    def sockets(pid: int) -> set[str]:
        names = set()
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                names.add(os.readlink(fd))
        return {name for name in names if name.startswith("socket:")}

    def of_network(pid: int) -> set[str]:
        tables = "".join(Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6"))
        inodes = {f"socket:[{row.split()[9]}]" for row in tables.splitlines() if ":" in row[:8]}
        return sockets(pid) & inodes

    processes = pids(agent)
    # a read of the kernel's table may miss a line while others' connections come and go
    eventually(lambda: of_network(processes["agent"]))
    assert not of_network(processes["supervisor"])


def test_the_user_that_it_becomes_can_be_chosen(tmp_path: Path) -> None:
    with launched(tmp_path / "log", "--user", str(SOMEBODY)) as agent:
        assert status_field(agent.pid, "Uid").split() == [str(SOMEBODY)] * 4
        assert nothing(agent.pid)
        with agent.run():
            pass


@pytest.mark.thorough
def test_an_account_is_taken_with_its_own_group(tmp_path: Path) -> None:
    account = next(a for a in pwd.getpwall() if a.pw_uid and a.pw_gid not in (0, a.pw_uid))
    with launched(tmp_path / "log", "--user", account.pw_name) as agent:
        assert status_field(agent.pid, "Uid").split() == [str(account.pw_uid)] * 4
        assert status_field(agent.pid, "Gid").split() == [str(account.pw_gid)] * 4
        assert nothing(agent.pid)


@pytest.mark.thorough
def test_what_stands_for_no_user_does_not_leave_it_root() -> None:
    started = own_module("agent", "--port", "0", "--user", str(2**32 - 1))
    done = subprocess.run(
        started.command,
        env=dict(started.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert "there is no such user" in said


# --- as an ordinary user


@pytest.fixture
def readable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that any user can enter, as the mount point for this environment."""
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "/tmp/chainbench-XXXXXX"], text=True)[:-1]
    )
    folder.chmod(0o755)
    yield folder
    folder.rmdir()


def as_somebody(readable: Path, *options: str) -> list[str]:
    """Return a command that runs another one as an ordinary user.

    It mounts this environment where that user can read it: the checkout may be in a home folder.
    """
    mounted = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    user = [f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"]
    here = ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.prefix, str(readable)]
    return [*here, "setpriv", *user, *options, "--"]


def installed(readable: Path) -> Invocation:
    """Return the agent as installed in that environment; the package's folder may be unreadable."""
    python = readable / Path(sys.executable).relative_to(sys.prefix)
    return Invocation((str(python), "-I", "-m", "agent"), os.environ)


def test_two_capabilities_are_enough(tmp_path: Path, readable: Path) -> None:
    before = as_somebody(readable, f"--inh-caps={BOTH}", f"--ambient-caps={BOTH}")
    with launched(tmp_path / "log", before=before, invocation=installed(readable)) as agent:
        assert status_field(agent.supervisor, "Uid").split() == [str(SOMEBODY)] * 4
        assert int(status_field(agent.supervisor, "CapEff"), 16).bit_count() == 2
        with agent.run(measure_probes=True) as run:
            assert run.started["armed"] == list(DEFAULT_SECTIONS)
            assert nothing_effective(agent)
        assert run.evidence["completeness"]["verdict"] != "invalid"
        assert run.evidence["runqlat"]["count"] > 0
        # measuring the programs takes CAP_SYS_ADMIN
        assert not measured(run.evidence)


def measured(evidence: dict[str, Any]) -> dict[str, int]:
    """Return how often each program ran, for those whose run count is known."""
    programs = evidence["overhead"]["programs"]
    assert programs
    assert all((p["runs"] is None) == (p["run_ns"] is None) for p in programs)
    return {p["hook"]: p["runs"] for p in programs if p["runs"] is not None}


def test_what_programs_take_is_measured_when_asked_for(agent: RealAgent) -> None:
    with agent.run(sections=["runqlat"]) as run:
        pass
    assert not measured(run.evidence)
    with agent.run(sections=["runqlat"], measure_probes=True) as run:
        pass
    assert measured(run.evidence)["sched_switch"] > 0


def nothing_effective(agent: Launched) -> bool:
    """Return whether all capability sets but the bounding set are empty.

    Without CAP_SETPCAP the bounding set cannot be cleared; with no_new_privs it has no effect.
    """
    sets = [int(status_field(agent.pid, name), 16) for name in CAPABILITY_SETS if name != "CapBnd"]
    return not any(sets) and status_field(agent.pid, "NoNewPrivs") == "1"


def test_without_capabilities_every_route_works(tmp_path: Path, readable: Path) -> None:
    with launched(
        tmp_path / "log", before=as_somebody(readable), invocation=installed(readable)
    ) as agent:
        agent.settle()
        assert_unavailable(agent, "no_capability", "CAP_BPF and CAP_PERFMON")
        figures = {"baseline_ms": 1500.0, "optimized_ms": 1200.0, "gain_pct": 20.0}
        assert requests.post(f"{agent.url}/report", json=figures).ok
        page = agent.metrics()
        assert "chainbench_gain_percent" in page
        assert "chainbench_agent_ebpf_available 0" in page
        assert requests.get(f"{agent.url}/evidence").json()["available"] is False


@pytest.mark.thorough
def test_the_root_of_a_namespace_without_others_serves_as_that_root(
    tmp_path: Path, readable: Path
) -> None:
    """It has no other user to become, and no capability of the namespace is left to it."""
    before = [*as_somebody(readable), "unshare", "--user", "--map-root-user", "--"]
    with launched(tmp_path / "log", before=before, invocation=installed(readable)) as agent:
        agent.settle()
        assert_unavailable(agent, "user_namespace", "rootless container")
        assert status_field(agent.pid, "CapEff") == status_field(agent.pid, "CapPrm") == "0" * 16
        agent.start()
        assert agent.stop()["procfs"]["machine"]["context_switches"] > 0


# --- on a system with a missing requirement


def without(*paths: str | Path) -> list[str]:
    """Return a command that runs another one with these folders empty."""
    script = (
        'while [ "$1" != -- ]; do mount -t tmpfs none "$1" || exit; shift; done; shift; exec "$@"'
    )
    existing = [str(path) for path in paths if Path(path).is_dir()]
    return ["unshare", "--mount", "sh", "-c", script, "sh", *existing, "--"]


def bcc_folders() -> Sequence[str]:
    """Return the bcc folders of the interpreters that the agent would try."""
    look = "import bcc; print(bcc.__path__[0])"
    found = (
        subprocess.run([python, "-I", "-c", look], capture_output=True, text=True, check=False)
        for python in interpreters()
    )
    return [done.stdout.strip() for done in found if done.returncode == 0]


@pytest.mark.thorough(but="no_btf-CONFIG_DEBUG_INFO_BTF")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("no_btf", "CONFIG_DEBUG_INFO_BTF"),
        ("no_sysfs", "mount -t sysfs"),
        ("no_bcc", "python3-bpfcc"),
    ],
)
def test_the_reason_names_what_is_missing(tmp_path: Path, code: str, expected: str) -> None:
    systems = {
        "no_btf": without("/sys/kernel/btf"),
        "no_sysfs": without("/sys"),
        "no_bcc": without(*bcc_folders()),
    }
    with launched(tmp_path / "log", before=systems[code]) as agent:
        agent.settle()
        assert_unavailable(agent, code, expected)


def test_without_proc_it_serves_and_gives_a_reason(tmp_path: Path) -> None:
    with service(tmp_path / "log", before=without("/proc")) as agent:
        agent.settle()
        started = agent.start()
        assert (started["available"], started["code"]) == (False, "no_procfs")
        assert agent.stop()["completeness"]["verdict"] == "invalid"
        assert "chainbench_agent_ebpf_available 0" in agent.metrics()


@pytest.mark.thorough
@pytest.mark.parametrize("folder", ["/sys", "/proc"])
def test_what_disappears_during_a_run_ends_nothing(
    tmp_path: Path, tool: Callable[[str], str], folder: str
) -> None:
    """Tasks in the background read there which CPUs are online, and where scheduling stands."""
    own_mounts = ["unshare", "--mount", "--"]
    with service(tmp_path / "log", "--transport", "perf", before=own_mounts) as agent:
        agent.settle()
        agent.start()
        # in a chroot, the mount namespace alone would begin at the root outside of it
        inside = [tool("nsenter"), "--mount", "--root", "--target", str(agent.supervisor)]
        subprocess.run([*inside, "mount", "-t", "tmpfs", "none", folder], check=True)
        # longer than between two looks at the CPUs
        time.sleep(2.5 * FOLLOW_INTERVAL_S)
        assert "chainbench_runqlat" in agent.metrics()
        evidence = agent.stop()
        assert evidence["available"]
        assert evidence["runqlat"]["count"] > 0
        reasons = str(evidence["completeness"]["reasons"])
        assert "draining_failed" not in reasons
        assert "cpus_changed" not in reasons
        compared = {check["name"] for check in evidence["checks"]} & {"forks", "context_switches"}
        assert ("unchecked: " in reasons, compared == set()) == (folder == "/proc",) * 2
        assert not agent.start()["available"]
        agent.stop()
        assert "Traceback" not in agent.log


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (["--bounding-set=-setuid"], "setresuid: Operation not permitted: CAP_SETUID missing"),
        (["--bounding-set=-setgid"], "setgroups: Operation not permitted: CAP_SETGID missing"),
    ],
)
def test_root_that_may_not_change_user_is_told_why(before: list[str], expected: str) -> None:
    started = own_module("agent", "--port", "0")
    done = subprocess.run(
        ["setpriv", *before, "--", *started.command],
        env=dict(started.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert expected in said
    assert "CAP_BPF" in said


@pytest.mark.thorough
@pytest.mark.parametrize("depth", [1, 2])
def test_root_of_a_user_namespace_without_other_users_is_told_why(depth: int) -> None:
    started = own_module("agent", "--port", "0")
    done = subprocess.run(
        [*["unshare", "--user", "--map-root-user", "--"] * depth, *started.command],
        env=dict(started.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert "this user namespace has no other user than root" in said
    assert "root outside of it too" in said


@pytest.mark.thorough
def test_neither_headers_nor_tracefs_are_needed(tmp_path: Path) -> None:
    spared = ("/lib/modules", "/usr/src", "/sys/kernel/tracing", "/sys/kernel/debug")
    with launched(tmp_path / "log", before=without(*spared)) as agent:
        assert list(Path(f"/proc/{agent.supervisor}/root/sys/kernel/tracing").iterdir()) == []
        with agent.run():
            pass
