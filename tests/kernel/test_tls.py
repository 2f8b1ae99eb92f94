"""HTTPS of a real agent: its key is root's alone, and is read again by the supervisor."""

import os
import signal
import time
from pathlib import Path

import pytest
import requests
from fakes.certificates import issued
from fakes.tls_agent import put, tls_agent
from fakes.waiting import PATIENCE_SECONDS, eventually


def test_a_hangup_of_its_first_process_renews_a_certificate_that_is_roots_alone(
    tmp_path: Path,
) -> None:
    in_use, renewed = issued(tmp_path / "a"), issued(tmp_path / "b")
    renewed.key.chmod(0o644)
    tmp_path.chmod(0o700)
    authority = str(renewed.authority)
    with tls_agent(tmp_path / "log", in_use) as agent:
        assert agent.serves(in_use)
        assert "everybody may read" not in agent.log
        put(renewed, in_use)
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the certificate is reloaded" in agent.log)
        eventually(lambda: "TLS: everybody may read or write the key's file" in agent.log)
        answer = requests.post(f"{agent.url}/start", json={"sections": ["exec"]}, verify=authority)
        assert answer.json()["available"] is True
        os.unlink(in_use.key)
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: f"the old one stays: {in_use.key}: No such file" in agent.log)
        evidence = requests.post(f"{agent.url}/stop", verify=authority).json()
        assert evidence["completeness"]["verdict"] != "invalid", "the run goes on meanwhile"
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.thorough
def test_hangups_as_it_starts_and_in_numbers_end_nothing(tmp_path: Path) -> None:
    files = issued(tmp_path / "a")
    with tls_agent(tmp_path / "log", files) as agent:
        for _ in range(200):
            os.killpg(agent.process.pid, signal.SIGHUP)
        eventually(lambda: "the certificate is reloaded" in agent.log)
        assert agent.serves(files)
        assert agent.process.poll() is None


def test_hangups_while_it_ends_do_not_change_how(tmp_path: Path) -> None:
    """Up to the last moment, one of them could find its handler gone."""
    with tls_agent(tmp_path / "log", issued(tmp_path / "a")) as agent:
        agent.process.send_signal(signal.SIGTERM)
        while agent.process.poll() is None:
            agent.process.send_signal(signal.SIGHUP)
            time.sleep(0.002)
        assert agent.process.returncode == 0
        assert "Traceback" not in agent.log
