"""Every way in which the agent's processes can end: nothing stays attached, no data is invented."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from fakes import faults
from fakes.copied_package import Copy
from fakes.ports import unused_port
from fakes.processes import Bpftool, Launched, held, service, state_of
from fakes.real_agent import RealAgent
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.http_client import AgentClient, AgentUnreachable
from agent.client.interpreter import own_module

PARTIAL = "stopped in the middle of a run; its evidence: "


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.mark.thorough
def test_stopped_means_that_nothing_is_attached(own_agent: Launched, bpftool: Bpftool) -> None:
    maps = held(own_agent.supervisor, "map")
    programs = bpftool.programs(maps)
    assert len(programs) > 5
    assert all(name.startswith("cba_") for name in programs.values())
    assert not bpftool.linked(programs)
    own_agent.start()
    assert len(bpftool.linked(programs)) > 5
    own_agent.stop()
    assert not bpftool.linked(programs)
    own_agent.process.terminate()
    own_agent.exit_status()
    assert bpftool.gone(maps)


@pytest.mark.thorough(but="agent")
@pytest.mark.parametrize("victim", ["supervisor", "agent"])
def test_killing_a_process_detaches_everything(
    own_agent: Launched, bpftool: Bpftool, victim: str
) -> None:
    maps = held(own_agent.supervisor, "map")
    own_agent.start()
    assert bpftool.linked(bpftool.programs(maps))
    os.kill(own_agent.processes()[victim], signal.SIGKILL)
    assert bpftool.gone(maps)
    if victim == "agent":
        assert own_agent.exit_status() == 128 + signal.SIGKILL


@pytest.fixture
def hesitant(tmp_path: Path) -> Iterator[Launched]:
    """An agent whose compiler hangs, with its programs loaded, when compiling a single section."""
    copy = Copy(tmp_path)
    copy.inject(faults.hangs_with_fewer_programs_than, 8)
    with copy.launched() as agent:
        agent.settle()
        yield agent


@pytest.mark.thorough(but="supervisor")
@pytest.mark.parametrize("victim", ["compiler", "supervisor", "agent"])
def test_killing_a_process_during_a_compilation_leaves_no_program(
    hesitant: Launched, bpftool: Bpftool, pool: ThreadPoolExecutor, victim: str
) -> None:
    agent = hesitant
    maps = held(agent.supervisor, "map")
    before = bpftool.programs(maps)
    answer = pool.submit(agent.start, sections=["exec"])
    eventually(lambda: bpftool.programs(maps).keys() > before.keys())
    [compiler] = agent.compilers()
    assert held(compiler, "prog").isdisjoint(before)
    pids = {"compiler": compiler, "supervisor": agent.supervisor, "agent": agent.pid}
    os.kill(pids[victim], signal.SIGKILL)
    if victim != "compiler":
        assert bpftool.gone(maps)
        # its programs are freed before the process is gone
        eventually(lambda: not state_of(compiler))
    else:
        assert "killed by SIGKILL" in answer.result()["reason"]
        assert bpftool.programs(maps).keys() <= before.keys()
    if victim == "supervisor":
        assert answer.result()["code"] == "supervisor_lost"
    elif victim == "agent":
        assert isinstance(answer.exception(), AgentUnreachable)


@pytest.mark.thorough
def test_a_start_that_failed_late_does_not_spoil_the_next(copy: Copy) -> None:
    """The maps were in the answer that was never sent."""
    copy.inject(faults.hangs_with_fewer_programs_than, 1_000)
    with copy.launched() as agent:
        [compiler] = eventually(agent.compilers)
        os.kill(compiler, signal.SIGKILL)
        agent.settle()
        copy.mend()
        assert agent.status()["ebpf"]["code"] == "compiler_crashed"
        nobody = {"scope": {"pid": 2**31 - 1}}
        refusal = requests.post(f"{agent.url}/start", json=nobody)
        assert (refusal.status_code, refusal.json()["field"]) == (422, "scope")
        with agent.run():
            pass


@pytest.mark.thorough
def test_an_error_in_the_supervisor_fails_the_request_only(copy: Copy) -> None:
    copy.inject(faults.attribute, "agent.streams.supervisor.supervisor", "read_section_counts", 0)
    with copy.launched() as agent:
        agent.settle()
        for _ in range(2):
            started = agent.start()
            assert (started["available"], started["code"]) == (False, "internal_error")
            assert "TypeError" in started["reason"]
            assert agent.stop()["completeness"]["verdict"] == "invalid"
        assert agent.process.poll() is None
        assert "supervisor" in agent.processes()
        assert agent.log.count("Traceback") == 2


@pytest.fixture
def lasting(copy: Copy) -> Iterator[Launched]:
    """An agent that takes its time once its supervisor is gone."""
    copy.inject(faults.attribute, "agent.processes.serving", "LAST_SECONDS", 60.0)
    with copy.launched() as agent:
        agent.settle()
        yield agent


def test_without_its_supervisor_the_agent_says_so_and_serves_what_it_has(
    lasting: Launched,
) -> None:
    own_agent = lasting
    with own_agent.run():
        pass
    started = own_agent.start(scenario="baseline")
    own_agent.process.kill()
    own_agent.process.wait()
    eventually(lambda: not own_agent.status()["ebpf"]["available"])
    status = own_agent.status()
    assert (status["running"], status["ebpf"]["code"]) == (True, "supervisor_lost")
    assert not any(status["armed"].values())
    assert [p["role"] for p in status["processes"]] == ["agent"]

    evidence = own_agent.stop()
    assert evidence["completeness"]["verdict"] == "invalid"
    assert "supervisor_lost" in str(evidence["completeness"]["reasons"])
    # what was received until then is still valid
    assert evidence["runqlat"]["count"] > 0
    assert requests.get(f"{own_agent.url}/evidence/{started['run_id']}").json() == evidence
    again = own_agent.start()
    assert (again["available"], again["code"]) == (False, "supervisor_lost")
    assert not own_agent.stop()["available"]
    assert 'chainbench_runs_total{scenario="baseline"' in own_agent.metrics()


# --- SIGTERM


def partial_evidence(log: str) -> str:
    """Return the evidence in a log."""
    [line] = [line for line in log.splitlines() if PARTIAL in line]
    return line.split(PARTIAL)[1]


@contextmanager
def hostile_clients(url: str) -> Iterator[None]:
    """Connect clients that never finish: silent, half a request, half a body, and never reading."""
    port = urlsplit(url).port
    host = f"Host: 127.0.0.1:{port}\r\n".encode()
    get = b"GET /metrics HTTP/1.1\r\n" + host
    sent = [
        b"",
        get,
        b"POST /start HTTP/1.1\r\nContent-Length: 9\r\n" + host + b"\r\n{",
        (get + b"\r\n") * 200,
    ]
    with ExitStack() as clients:
        for request in sent:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(request)
        yield


def test_sigterm_in_the_middle_of_a_run_keeps_the_evidence(
    own_agent: Launched, bpftool: Bpftool
) -> None:
    maps = held(own_agent.supervisor, "map")
    started = own_agent.start(scenario="baseline")
    with hostile_clients(own_agent.url):
        own_agent.process.terminate()
        assert own_agent.exit_status() == 0
    assert bpftool.gone(maps)
    assert not state_of(own_agent.pid)
    evidence = json.loads(partial_evidence(own_agent.log))
    assert evidence["run_id"] == started["run_id"]
    assert evidence["available"]
    assert evidence["runqlat"]["count"] > 0


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_every_process_ends_it_as_well(tmp_path: Path, number: int) -> None:
    """systemd and terminals signal all processes, and the supervisor forwards its own signal."""
    with service(tmp_path / "log") as agent:
        agent.settle()
        agent.start()
        for pid in (agent.supervisor, agent.pid, agent.supervisor):
            os.kill(pid, number)
        assert agent.exit_status() == 0
        assert json.loads(partial_evidence(agent.log))["available"]


@pytest.mark.thorough
def test_sigterm_while_the_compiler_hangs(
    hesitant: Launched, bpftool: Bpftool, pool: ThreadPoolExecutor
) -> None:
    maps = held(hesitant.supervisor, "map")
    answer = pool.submit(hesitant.start, sections=["exec"])
    [compiler] = eventually(hesitant.compilers)
    hesitant.process.terminate()
    assert hesitant.exit_status() == 0
    eventually(lambda: not state_of(compiler))
    assert bpftool.gone(maps)
    assert "did not end in time" in hesitant.log
    assert answer.exception() is not None


# --- resources of the machine


def test_a_full_disk_stops_nothing() -> None:
    """The agent can write neither its log, which is full, nor temporary files."""
    port = unused_port()
    installed = own_module("agent")
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*installed.command, "--port", str(port)],
            stdout=full,
            stderr=full,
            env={**installed.environment, "TMPDIR": "/nonexistent"},
        )
    agent = RealAgent(AgentClient(f"http://127.0.0.1:{port}"))

    def listening() -> bool:
        assert process.poll() is None
        try:
            return bool(agent.status())
        except AgentUnreachable:
            return False

    try:
        eventually(listening)
        with agent.run(sections=["runqlat"]):
            pass
        agent.start()
    finally:
        process.terminate()
    assert process.wait(PATIENCE_SECONDS) == 0
