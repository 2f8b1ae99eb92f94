"""``--mock`` as a real process: everywhere marked, and without anything that only Linux has."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from fakes import elsewhere
from fakes.imports import is_module, reachable
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.interpreter import own_module
from agent.client.spawn import AgentDidNotStart, RunningAgent, running_agent
from agent.sections.probes import DEFAULT_SECTIONS
from agent.words import Json

IMPORTED = re.compile(r"import time: .*\| +([\w.]+)$", re.MULTILINE)
OF_A_RUN = re.compile(r'^chainbench_(?!agent_)\w+\{.*machine="([^"]*)"', re.MULTILINE)
FUTEX_CALLS = re.compile(r'^chainbench_\w+\{.*syscall="futex".*\} (\S+)$', re.MULTILINE)
REPORT = {"baseline_ms": 2.0, "optimized_ms": 1.0, "gain_pct": 50.0}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(["--mock"], log=tmp_path / "log") as started:
        yield started


def one_run(agent: RunningAgent, **body: object) -> Json:
    """Do what a runner does: start, scrape, stop, report."""
    agent.post("/start", {"scenario": "baseline", **body})
    assert agent.send("GET", "/metrics")
    evidence = agent.post("/stop")
    agent.post("/report", REPORT)
    return evidence


def futex_calls(agent: RunningAgent) -> float:
    """Return the number on /metrics; 0 as long as there is none."""
    found = FUTEX_CALLS.search(agent.send("GET", "/metrics").decode())
    return float(found[1]) if found else 0.0


def shown(evidence: Json, folder: Path) -> str:
    path = folder / "evidence.json"
    path.write_text(json.dumps(evidence))
    started = own_module("agent", "show", str(path))
    command, environment = started.command, dict(started.environment)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_no_number_can_pass_for_a_real_one(agent: RunningAgent, tmp_path: Path) -> None:
    started = agent.post("/start", {"scenario": "optimized"})
    during = agent.get("/status")
    agent.post("/stop")
    evidence = one_run(agent)
    page = agent.send("GET", "/metrics").decode()

    assert started["mock"] is True
    for status in (during, agent.get("/status")):
        assert (status["mock"], status["machine"]) == (True, "mock")
        assert status["ebpf"]["available"] is None
    assert evidence["mock"] is True
    assert evidence["labels"]["machine"] == "mock"
    assert {*evidence["manifest"]["hooks"]} == {*DEFAULT_SECTIONS}
    assert all(hooks == ["mock"] for hooks in evidence["manifest"]["hooks"].values())
    assert set(OF_A_RUN.findall(page)) == {"mock"}
    assert "\nchainbench_agent_mock 1.0\n" in page
    assert shown(evidence, tmp_path).startswith("mock: synthetic events; no number here was")
    assert "--mock: every event is synthetic" in agent.log
    assert "agent.run: " not in agent.log, "what is to be said of its runs, this client says"


def test_the_runner_of_the_contract_works_unchanged(agent: RunningAgent) -> None:
    labels = {"impl": "python", "variant": "numpy", "commit": "c", "dataset": "d"}
    for scenario in ("baseline", "optimized"):
        body = {"scenario": scenario, **labels}
        requests.post(f"{agent.url}/start", json=body).raise_for_status()
        evidence = requests.post(f"{agent.url}/stop").json()
        assert evidence["available"] is True
        assert evidence["completeness"]["verdict"] == "complete"
        assert {*DEFAULT_SECTIONS} <= {*evidence}
    answer = requests.post(f"{agent.url}/report", json={**labels, **REPORT})
    assert answer.json() == {"status": "metrics_reported"}


@pytest.mark.parametrize(
    ("scope", "described"),
    [
        ("caller", {"kind": "caller"}),
        ({"pid": 1}, {"kind": "pid", "pid": 1}),
        ({"cgroup": "/bench.slice"}, {"kind": "cgroup", "cgroup": "/bench.slice"}),
    ],
)
def test_every_scope_is_taken_as_requested(
    agent: RunningAgent, scope: object, described: Json
) -> None:
    evidence = one_run(agent, scope=scope)
    assert evidence["scope"] == described
    assert evidence["completeness"]["verdict"] == "complete"


def test_it_is_one_process_without_privileges(agent: RunningAgent) -> None:
    [process] = agent.get("/status")["processes"]
    assert process["role"] == "agent"
    pid = process["pid"]
    assert pid == agent.pid
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert "0" not in status["Uid"].split()
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_nothing_is_imported_once_privileges_are_gone(tmp_path: Path) -> None:
    python, *rest = own_module("agent").command
    traced = replace(own_module("agent"), command=(python, "-X", "importtime", *rest))
    with running_agent(["--mock"], invocation=traced, log=tmp_path / "log") as agent:
        before = len(agent.log)
        one_run(agent, sections=["runqlat", "biolatency", "softirq"], scope="caller")
        assert agent.send("GET", "/openapi.json")
        assert IMPORTED.findall(agent.log[before:]) == []


UPGRADES = {
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    "h2c": (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n", b"200"),
    "WebSockets": (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"400"),
}


@pytest.mark.parametrize("name", UPGRADES)
def test_what_is_left_out_of_it_is_refused(agent: RunningAgent, name: str) -> None:
    """Code of its libraries for HTTP/2 and WebSockets is not loaded (test_left_out.py)."""
    sent, status = UPGRADES[name]
    if not sent.startswith(b"PRI"):
        sent = b"GET /status HTTP/1.1\r\nHost: localhost\r\n" + sent + b"\r\n"
    address = urlsplit(agent.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as client:
        client.sendall(sent)
        assert client.recv(12) == b"HTTP/1.1 " + status
    assert agent.get("/status")["mock"] is True
    assert "Traceback" not in agent.log


def test_a_signal_ends_it_with_its_evidence(agent: RunningAgent) -> None:
    agent.post("/start", {})
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(PATIENCE_SECONDS) == 0
    [logged] = [line for line in agent.log.splitlines() if "its evidence: " in line]
    evidence = json.loads(logged.partition("its evidence: ")[2])
    assert (evidence["mock"], evidence["available"]) == (True, True)


def test_without_room_for_its_files_it_says_so(tmp_path: Path) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    limited = own_module("agent")
    command = (sys.executable, "-c", f"{code}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])")
    limited = replace(limited, command=(*command, *limited.command))
    with (
        pytest.raises(AgentDidNotStart, match="--mock needs temporary files: File too large"),
        running_agent(["--mock"], invocation=limited, log=tmp_path / "log"),
    ):
        pass


# --- on other systems


def test_it_needs_nothing_that_only_linux_has(tmp_path: Path) -> None:
    program = own_module("agent")
    program = replace(program, command=(sys.executable, elsewhere.__file__))
    with running_agent(["--mock"], invocation=program, log=tmp_path / "log") as agent:
        agent.post("/start", {"scope": "caller"})
        eventually(lambda: futex_calls(agent))
        evidence = agent.post("/stop")
        status = agent.get("/status")
    assert evidence["available"] is evidence["mock"] is status["mock"] is True
    assert evidence["completeness"]["verdict"] == "complete"
    assert {*DEFAULT_SECTIONS} <= {*evidence}
    assert evidence["syscall_counts"]["futex"] > 0, "the names of this architecture are known"
    assert evidence["overhead"]["agent_cpu_ms"] is None, "there is no /proc to say so"


def test_without_mock_it_says_there_that_ebpf_needs_linux(tmp_path: Path) -> None:
    program = replace(own_module("agent"), command=(sys.executable, elsewhere.__file__))
    with running_agent([], invocation=program, log=tmp_path / "log") as agent:
        evidence = one_run(agent)
    assert (evidence["available"], evidence["code"]) == (False, "not_linux")
    assert "mock" not in evidence


def test_it_imports_nothing_that_speaks_to_a_kernel() -> None:
    found = reachable("agent.processes.mocking")
    imported = {name for names in found.values() for name in names} | {*found}
    assert "agent.mock.machine" in imported
    assert all(is_module(module) for module in elsewhere.LINUX_SIDE if module != "bcc")
    for module in elsewhere.LINUX_SIDE:
        assert not [n for n in imported if n == module or n.startswith(f"{module}.")]
