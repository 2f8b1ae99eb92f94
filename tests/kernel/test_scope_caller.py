"""The scope ``caller``: the process at the other end of the connection."""

import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from fakes.marks import MARKS, marks
from fakes.own_network import own_network
from fakes.program import PROGRAMS
from fakes.real_agent import ANSWER_SECONDS, RealAgent, running


def called(url: str, way: str) -> tuple[int, Any]:
    command = [sys.executable, PROGRAMS / "caller.py", way, url, str(MARKS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=ANSWER_SECONDS, check=True)
    said = json.loads(done.stdout)
    return said["pid"], said["evidence"]


@pytest.mark.parametrize("way", ["plain", "session", "forked"])
def test_a_caller_is_known_by_its_connection(agent: RealAgent, way: str) -> None:
    pid, evidence = called(agent.url, way)
    assert (evidence["scope"]["kind"], evidence["scope"]["pid"]) == ("caller", pid)
    assert marks(evidence) == 2 * MARKS


@pytest.mark.thorough
def test_a_caller_by_ipv4_is_known_to_an_agent_on_every_address() -> None:
    """Its socket is in /proc/net/tcp, the agent's end of the connection in tcp6."""
    with running(["--host", "::", "--insecure"]) as agent:
        port = urlsplit(agent.url).port
        for host in ("127.0.0.1", "[::1]"):
            pid, evidence = called(f"http://{host}:{port}", "plain")
            assert (evidence["scope"]["kind"], evidence["scope"]["pid"]) == ("caller", pid)
            assert marks(evidence) == 2 * MARKS


def test_a_caller_over_a_network_is_refused() -> None:
    address = "192.0.2.1"  # of no machine (RFC 5737)
    with own_network(address), running(["--host", address, "--insecure"], ready=False) as agent:
        body = {"scope": "caller"}
        answer = requests.post(f"{agent.url}/start", json=body, timeout=ANSWER_SECONDS)
        assert (answer.status_code, answer.json()["error"]) == (422, "caller_not_local")
        assert answer.json()["field"] == "scope"
        assert "pid" in answer.json()["message"]
        assert not agent.status()["running"]
