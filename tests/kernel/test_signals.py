"""Every signal that ends the agent ends all of it, in time, with the evidence logged."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product, starmap
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.mounts import compiling_anew
from fakes.processes import (
    Bpftool,
    Launched,
    children,
    held,
    launched,
    service,
    state_of,
    status_field,
)
from fakes.real_agent import RealAgent
from fakes.terminals import CTRL_BACKSLASH, CTRL_C, on_terminal
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.http_client import AgentClient, AgentUnreachable
from agent.client.interpreter import own_module
from agent.client.spawn import running_agent
from agent.exit_status import UNASKED, signal_name
from agent.words import Json

PARTIAL = "stopped in the middle of a run; its evidence: "


def partial_evidence(log: str) -> Json:
    [line] = [line for line in log.splitlines() if PARTIAL in line]
    evidence: Json = json.loads(line.split(PARTIAL)[1])
    return evidence


def assert_ended_with_evidence(agent: Launched, run_id: str) -> None:
    agent.exit_status()
    eventually(lambda: not state_of(agent.pid))
    evidence = partial_evidence(agent.log)
    assert evidence["run_id"] == run_id
    assert evidence["available"]


@contextlib.contextmanager
def in_a_run(folder: Path) -> Iterator[tuple[Launched, str]]:
    """Yield an agent in the middle of a run, and the run's id."""
    with service(folder / "log") as agent:
        agent.settle()
        yield agent, agent.start(sections=["exec"])["run_id"]


SENT_BY_PEOPLE = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
TARGETS = ("supervisor", "agent", "group")


def sent(number: int, target: str) -> Any:
    """Return a case. By default are TERM and what Ctrl-C sends, to all of it."""
    happens = number in (signal.SIGTERM, signal.SIGINT) and target == "group"
    return pytest.param(number, target, marks=() if happens else pytest.mark.thorough)


SENT = [
    *starmap(sent, product((*SENT_BY_PEOPLE, signal.SIGUSR1), TARGETS)),
    *(sent(number, "group") for number in (signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN)),
]


@pytest.mark.parametrize(("number", "target"), SENT)
def test_a_signal_ends_all_of_the_agent(tmp_path: Path, target: str, number: int) -> None:
    with in_a_run(tmp_path) as (agent, run_id):
        if target == "group":
            os.killpg(agent.supervisor, number)
        else:
            os.kill(agent.processes()[target], number)
        assert_ended_with_evidence(agent, run_id)
        assert agent.exit_status() == 0
        assert "Traceback" not in agent.log
        said = f"{signal_name(number)} ends the agent"
        assert (said in agent.log) == (number in UNASKED)


@pytest.mark.thorough
def test_an_agent_that_reaches_a_hard_limit_on_cpu_time_is_said_to(tmp_path: Path) -> None:
    shell = ("sh", "-c", 'ulimit -t 1; exec "$@"', "sh")
    own = own_module("agent")
    limited = replace(own, command=(*shell, *own.command))
    with running_agent(invocation=limited, log=tmp_path / "log") as agent:
        with contextlib.suppress(AgentUnreachable):
            while True:
                agent.get("/status")
        eventually(lambda: " s of 1 s of CPU time" in agent.log)


@pytest.mark.thorough
def test_no_signal_that_ends_a_process_is_left_out() -> None:
    """Faults, and what Python ignores, are; SIGHUP depends on the terminal."""
    by_default_harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    stopping = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    faults = {
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT),
        *(signal.SIGTRAP, signal.SIGSYS),
    }
    # in another process: it ignores SIGHUP, if there is no terminal, for itself and its children
    look = "from agent.processes.signals import ending_signals; print(*ending_signals())"
    shown = subprocess.check_output([sys.executable, "-P", "-c", look], text=True)
    left_out = signal.valid_signals() - set(map(int, shown.split()))
    assert left_out <= by_default_harmless | stopping | faults | {
        *(signal.SIGKILL, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP)
    }


@pytest.mark.thorough
def test_a_killed_supervisor_takes_the_agent_with_it(tmp_path: Path, bpftool: Bpftool) -> None:
    with service(tmp_path / "log") as agent:
        agent.settle()
        maps = held(agent.supervisor, "map")
        run_id = agent.start()["run_id"]
        agent.process.kill()
        assert bpftool.gone(maps)
        assert_ended_with_evidence(agent, run_id)
        assert partial_evidence(agent.log)["completeness"]["verdict"] == "invalid"
        assert "the privileged process is gone" in agent.log


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_was_stopped_ends_as_well(tmp_path: Path, number: int) -> None:
    """It cannot log anything, but it must not keep the port and the probes."""
    with in_a_run(tmp_path) as (agent, run_id):
        os.kill(agent.pid, signal.SIGSTOP)
        os.kill(agent.pid if number == signal.SIGKILL else agent.supervisor, number)
        assert agent.exit_status() == 128 + signal.SIGKILL
        assert not state_of(agent.pid)
        assert ("did not end within 4.5 s" in agent.log) == (number == signal.SIGTERM)
        assert f"SIGKILL; the evidence of run {run_id} is lost" in agent.log


FATAL = (
    *(signal.SIGSEGV, signal.SIGKILL),
    *(pytest.param(each, marks=pytest.mark.thorough) for each in (signal.SIGABRT, signal.SIGBUS)),
)
"""What no process can be asked to survive for as long as logging its evidence takes."""


@pytest.mark.thorough(but="9")
@pytest.mark.parametrize("number", FATAL)
def test_evidence_that_is_lost_with_the_agent_is_reported(tmp_path: Path, number: int) -> None:
    with in_a_run(tmp_path) as (agent, run_id):
        os.kill(agent.pid, number)
        assert agent.exit_status() == 128 + number
        name = signal.Signals(number).name
        assert f"was killed by {name}; the evidence of run {run_id} is lost" in agent.log
        assert PARTIAL not in agent.log


@pytest.mark.thorough
def test_an_agent_that_is_killed_between_runs_has_lost_what_was_not_fetched(
    tmp_path: Path,
) -> None:
    with service(tmp_path / "log") as agent:
        agent.settle()
        with agent.run(sections=["exec"]):
            pass
        os.kill(agent.pid, signal.SIGSEGV)
        assert agent.exit_status() == 128 + signal.SIGSEGV
        assert "SIGSEGV; evidence that was not fetched is lost" in agent.log


@pytest.mark.thorough
@pytest.mark.parametrize("number", FATAL)
def test_a_supervisor_that_dies_leaves_the_evidence(tmp_path: Path, number: int) -> None:
    with in_a_run(tmp_path) as (agent, run_id):
        os.kill(agent.supervisor, number)
        assert_ended_with_evidence(agent, run_id)


# --- SIGHUP and the terminal


def test_without_a_terminal_a_hangup_is_ignored(tmp_path: Path) -> None:
    with in_a_run(tmp_path) as (agent, _):
        for pid in agent.processes().values():
            os.kill(pid, signal.SIGHUP)
        os.killpg(agent.supervisor, signal.SIGHUP)
        evidence = agent.stop()
        # a check may fail on a busy machine; without its supervisor a run is invalid
        assert evidence["completeness"]["verdict"] != "invalid", evidence["completeness"]
        assert agent.process.poll() is None


def url_in(log: Path) -> str | None:
    found = re.search(r"^listening on (\S+)$", log.read_text(), re.MULTILINE)
    return found and found[1]


@pytest.mark.thorough(but="terminal gone")
@pytest.mark.parametrize("how", ["to the supervisor", "to the agent", "terminal gone"])
def test_with_a_terminal_a_hangup_ends_it(tmp_path: Path, how: str) -> None:
    log = tmp_path / "log"
    started = own_module("agent", "--port", "0")
    with (
        log.open("wb") as file,
        on_terminal(started.command, started.environment, stdout=file, stderr=file) as shown,
    ):
        agent = RealAgent(AgentClient(eventually(lambda: url_in(log))))
        eventually(lambda: agent.status()["ebpf"]["available"])
        run_id = agent.start(sections=["exec"])["run_id"]
        pids = {p["role"]: p["pid"] for p in agent.status()["processes"]}
        if how == "terminal gone":
            shown.close()
        else:
            os.kill(pids[how.removeprefix("to the ")], signal.SIGHUP)
        assert shown.process.wait(PATIENCE_SECONDS) == 0
        eventually(lambda: not state_of(pids["agent"]))
    assert partial_evidence(log.read_text())["run_id"] == run_id


@pytest.mark.thorough(but="\\x03")
@pytest.mark.parametrize("keys", [CTRL_C, CTRL_BACKSLASH])
def test_keys_of_the_terminal_end_it(tmp_path: Path, keys: bytes) -> None:
    started = own_module("agent", "--port", "0")
    with on_terminal(started.command, started.environment) as shown:
        shown.wait_for("listening on http://")
        shown.type(keys)
        assert shown.process.wait(PATIENCE_SECONDS) == 0
        assert "Traceback" not in shown.shown()


@pytest.mark.thorough
def test_nohup_keeps_it_from_ending_with_the_terminal(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    log = tmp_path / "log"
    started = own_module("agent", "--port", "0")
    command = [tool("nohup"), *started.command]
    with (
        log.open("wb") as file,
        on_terminal(command, started.environment, stdout=file, stderr=file) as shown,
    ):
        agent = AgentClient(eventually(lambda: url_in(log)))
        shown.close()
        assert not agent.get("/status")["running"]
        shown.process.terminate()
        assert shown.process.wait(PATIENCE_SECONDS) == 0


# --- the end of an agent that has hardly begun


def test_an_early_end_is_no_loss_of_the_supervisor(tmp_path: Path) -> None:
    """The programs are still being compiled."""
    with service(tmp_path / "log", before=compiling_anew()) as agent:
        compiler = agent.catch_compiler()
        agent.process.terminate()
        assert agent.exit_status() == 0
        eventually(lambda: not state_of(compiler))
        assert agent.log.splitlines() == [f"listening on {agent.url}"]


@pytest.mark.thorough
@pytest.mark.parametrize("number", [*SENT_BY_PEOPLE, signal.SIGUSR1])
def test_a_signal_to_all_of_it_during_a_compilation_is_no_crash(
    tmp_path: Path, number: int
) -> None:
    with service(tmp_path / "log", before=compiling_anew()) as agent:
        eventually(agent.compilers)
        os.killpg(agent.supervisor, number)
        assert agent.exit_status() == 0
        assert agent.log.splitlines() == [f"listening on {agent.url}"]


@pytest.mark.thorough
@pytest.mark.parametrize("target", ["supervisor", "agent"])
def test_signals_without_end_do_not_change_how_it_ends(tmp_path: Path, target: str) -> None:
    """Up to the last moment, one of them could find its handler gone."""
    with in_a_run(tmp_path) as (agent, _):
        pid = agent.supervisor if target == "supervisor" else agent.pid
        with contextlib.suppress(ProcessLookupError):
            while agent.process.poll() is None:
                os.kill(pid, signal.SIGTERM)
        assert agent.exit_status() == 0
        assert "stopped in the middle of a run; its evidence" in agent.log


@pytest.mark.thorough(but="15")
@pytest.mark.parametrize("number", SENT_BY_PEOPLE)
def test_a_signal_before_the_agent_is_up_leaves_no_process(number: int) -> None:
    started = own_module("agent", "--port", "0")
    process = subprocess.Popen(started.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    [child] = eventually(lambda: children(process.pid))
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (0, b"")
    assert not state_of(child)


# --- where it was started


@pytest.mark.thorough
def test_the_directory_that_it_was_started_in_may_be_removed(tmp_path: Path) -> None:
    """Each choice of sections is compiled anew."""
    folder = tmp_path / "gone"
    folder.mkdir()
    with service(tmp_path / "log", before=compiling_anew(), cwd=folder) as agent:
        agent.settle()
        folder.rmdir()
        with agent.run(sections=["exec"]):
            pass
        assert {Path(f"/proc/{pid}/cwd").readlink() for pid in (agent.supervisor, agent.pid)} == {
            Path("/")
        }


@pytest.mark.thorough
def test_it_starts_in_a_directory_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    vanish = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh"]
    with service(tmp_path / "log", cwd=folder, before=vanish) as agent:
        agent.settle()
        with agent.run(sections=["exec"]):
            pass


# --- an agent that somebody else started ends with that process


def test_an_agent_of_ours_leaves_the_terminal_to_its_parent(tmp_path: Path) -> None:
    with launched(tmp_path / "log") as agent:
        blocked = int(status_field(agent.supervisor, "SigBlk"), 16)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            assert blocked >> (number - 1) & 1
            os.kill(agent.supervisor, number)
        assert requests.get(f"{agent.url}/status").ok
