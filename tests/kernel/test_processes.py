"""The agent's processes end in every way there is: nothing stays attached, nothing is made up."""

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
from fakes.copied_package import Copy
from fakes.processes import Bpftool, Launched, children, held, launched, state_of
from fakes.real_agent import COMMAND
from fakes.waiting import eventually

TERM_SECONDS = 5.0
"""How soon the agent is gone after SIGTERM, with anybody connected."""

PARTIAL = "stopped in the middle of a run; its evidence: "


@pytest.fixture
def agent(own_agent: Launched) -> Launched:
    return own_agent


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_stopped_means_that_nothing_is_attached(agent: Launched, bpftool: Bpftool) -> None:
    maps = held(agent.supervisor, "map")
    programs = bpftool.programs(maps)
    assert len(programs) > 5
    assert all(name.startswith("cba_") for name in programs.values())
    assert not bpftool.linked(programs)
    agent.start()
    assert len(bpftool.linked(programs)) > 5
    agent.stop()
    assert not bpftool.linked(programs)
    agent.process.terminate()
    agent.exit_status()
    assert bpftool.gone(maps)


@pytest.mark.parametrize("victim", ["supervisor", "agent"])
def test_killing_a_process_detaches_everything(
    agent: Launched, bpftool: Bpftool, victim: str
) -> None:
    maps = held(agent.supervisor, "map")
    agent.start()
    assert bpftool.linked(bpftool.programs(maps))
    os.kill(agent.processes()[victim], signal.SIGKILL)
    assert bpftool.gone(maps)
    if victim == "agent":
        assert agent.exit_status() == 128 + signal.SIGKILL


@pytest.fixture
def hesitant(tmp_path: Path) -> Iterator[Launched]:
    """Its compiler keeps what it has loaded for a run of one section, as if it hung."""
    copy = Copy(tmp_path)
    answered = "message, fds = answer(json.loads(channel.recv(1 << 20)))"
    keeps = 'if len(message["programs"]) < 8:\n            __import__("time").sleep(600)'
    copy.change("compiler/compiler.py", answered, f"{answered}\n        {keeps}")
    with copy.launched() as agent:
        agent.settle()
        yield agent


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
        # its programs go before its last turn on a CPU is over
        eventually(lambda: not state_of(compiler))
    else:
        assert "killed by SIGKILL" in answer.result()["reason"]
        assert bpftool.programs(maps).keys() <= before.keys()
    if victim == "supervisor":
        assert answer.result()["code"] == "supervisor_lost"
    elif victim == "agent":
        assert isinstance(answer.exception(), requests.ConnectionError)


def test_a_start_that_failed_late_does_not_spoil_the_next(tmp_path: Path) -> None:
    """The maps went with the answer that was never given."""
    with launched(tmp_path / "log") as agent:
        os.kill(agent.catch_compiler(), signal.SIGKILL)
        agent.settle()
        assert agent.status()["ebpf"]["code"] == "compiler_crashed"
        nobody = {"scope": {"pid": 2**31 - 1}}
        refusal = requests.post(f"{agent.url}/start", json=nobody)
        assert (refusal.status_code, refusal.json()["field"]) == (422, "scope")
        with agent.run():
            pass


def test_without_its_supervisor_the_agent_tells_and_goes_on_serving(
    agent: Launched, bpftool: Bpftool
) -> None:
    with agent.run():
        pass
    started = agent.start(scenario="baseline")
    agent.process.kill()
    agent.process.wait()
    eventually(lambda: not agent.status()["ebpf"]["available"])
    status = agent.status()
    assert (status["running"], status["ebpf"]["code"]) == (True, "supervisor_lost")
    assert not any(status["armed"].values())
    assert [p["role"] for p in status["processes"]] == ["agent"]

    evidence = agent.stop()
    assert evidence["completeness"]["verdict"] == "invalid"
    assert "supervisor_lost" in str(evidence["completeness"]["reasons"])
    # what came until then is still worth something
    assert evidence["runqlat"]["count"] > 0
    assert requests.get(f"{agent.url}/evidence/{started['run_id']}").json() == evidence
    again = agent.start()
    assert (again["available"], again["code"]) == (False, "supervisor_lost")
    assert not agent.stop()["available"]
    assert 'chainbench_runs_total{scenario="baseline"' in agent.metrics()


# --- SIGTERM


def partial_evidence(log: str) -> str:
    """The evidence that a log tells of."""
    [line] = [line for line in log.splitlines() if PARTIAL in line]
    return line.split(PARTIAL)[1]


@contextmanager
def hostile_clients(url: str) -> Iterator[None]:
    """Silent, with half a request, with half a body, never reading: none ends by itself."""
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
    agent: Launched, bpftool: Bpftool
) -> None:
    maps = held(agent.supervisor, "map")
    started = agent.start(scenario="baseline")
    with hostile_clients(agent.url):
        agent.process.terminate()
        assert agent.exit_status(TERM_SECONDS) == 0
    assert bpftool.gone(maps)
    assert not state_of(agent.pid)
    evidence = json.loads(partial_evidence(agent.log))
    assert evidence["run_id"] == started["run_id"]
    assert evidence["available"]
    assert evidence["runqlat"]["count"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_every_process_ends_it_as_well(agent: Launched, number: int) -> None:
    """systemd signals them all, as a terminal does; and the supervisor passes its own on."""
    agent.start()
    for pid in (agent.supervisor, agent.pid, agent.supervisor):
        os.kill(pid, number)
    assert agent.exit_status(TERM_SECONDS) == 0
    assert json.loads(partial_evidence(agent.log))["available"]


def test_sigterm_while_the_compiler_hangs(
    agent: Launched, bpftool: Bpftool, pool: ThreadPoolExecutor
) -> None:
    maps = held(agent.supervisor, "map")
    answer = pool.submit(agent.start, sections=["exec"])
    compiler = agent.catch_compiler()
    agent.process.terminate()
    assert agent.exit_status(TERM_SECONDS) == 0
    eventually(lambda: not state_of(compiler))
    assert bpftool.gone(maps)
    assert "did not end in time" in agent.log
    assert answer.exception() is not None


def test_sigterm_before_the_agent_is_up_leaves_no_process() -> None:
    process = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    [child] = eventually(lambda: children(process.pid))
    process.terminate()
    assert process.wait(TERM_SECONDS) in (0, 128 + signal.SIGTERM)
    assert not state_of(child)


# --- resources of the machine


def test_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    """Whatever it writes to is full: its log, and where temporary files would go."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*COMMAND, "--port", str(port)],
            stdout=full,
            stderr=full,
            env={**os.environ, "TMPDIR": "/nonexistent"},
        )
    url = f"http://127.0.0.1:{port}"

    def listening() -> bool:
        assert process.poll() is None
        try:
            return requests.get(f"{url}/status", timeout=10).ok
        except requests.ConnectionError:
            return False

    try:
        eventually(listening)
        agent = Launched(process, url, tmp_path / "none")
        with agent.run(sections=["runqlat"]):
            pass
        agent.start()
    finally:
        process.terminate()
    assert process.wait(TERM_SECONDS) == 0
