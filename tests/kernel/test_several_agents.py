"""A run over two real agents. Both are on one kernel, which is enough for how they are used."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.processes import Launched
from fakes.real_agent import RealAgent, running
from fakes.run_command import finished, line
from fakes.waiting import eventually

from agent.aggregate.histogram import LatencyHistogram
from agent.client import collect
from agent.client.http_client import AgentRefused

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

EXECS = "for i in 1 2 3 4 5; do /bin/true; done"


@pytest.fixture(scope="module")
def other() -> Iterator[RealAgent]:
    with running(["--machine", "db"]) as agent:
        yield agent


def run(first: str, second: str, file: Path, script: str) -> tuple[dict[str, Any], str]:
    named = ["--agent", first, "--agent", second]
    done = finished(line("run", *named, "--json", file, "--", "sh", "-c", script))
    document: dict[str, Any] = json.loads(file.read_text())
    return document, done.stderr


def of_other(document: dict[str, Any]) -> dict[str, Any]:
    [row] = [row for row in document["fleet"]["machines"] if not row["runs_workload"]]
    evidence: dict[str, Any] = row["evidence"]
    return evidence


def added(*sections: dict[str, Any]) -> LatencyHistogram:
    whole = LatencyHistogram()
    for section in sections:
        whole.merge(LatencyHistogram.decode(section["hdr"]))
    return whole


def test_a_run_of_two_agents(agent: RealAgent, other: RealAgent, tmp_path: Path) -> None:
    document, report = run(agent.url, other.url, tmp_path / "x.json", EXECS)
    beside, merged = of_other(document), document["fleet"]["merged"]
    assert document["exec"]["exec_count"] == 6, "of the command alone"
    assert document["wall"]["available"] is True
    assert (beside["scope"]["kind"], beside["labels"]["machine"]) == ("system", "db")
    assert beside["exec"]["exec_count"] >= 6, "the same kernel"
    assert beside["wall"]["available"] is False
    both = (document, beside)
    assert merged["exec"]["exec_count"] == sum(one["exec"]["exec_count"] for one in both)
    for section in ("runqlat", "biolatency"):
        whole = added(*(one[section] for one in both))
        assert merged[section]["count"] == whole.total_count
        assert added(merged[section]).counts.tolist() == whole.counts.tolist()
    calls = sum(one["syscall_counts"]["all"]["execve"] for one in both)
    assert merged["syscall_counts"]["all"]["execve"] == calls
    assert any(one.startswith("same_machine: ") for one in merged["completeness"]["reasons"])
    assert "\nMachines\n" in report
    [kept] = [words for words in report.splitlines() if words.startswith("kept ")]
    shown = finished(line("runs", "show", kept.split()[1]))
    assert "\nMachines\n" in shown.stdout
    assert not agent.status()["running"]
    assert not other.status()["running"]


@pytest.mark.thorough
def test_one_that_is_killed_is_named_and_costs_no_other(
    agent: RealAgent, own_agent: Launched, tmp_path: Path
) -> None:
    script = f"kill -9 {own_agent.pid}; {EXECS}"
    document, report = run(agent.url, own_agent.url, tmp_path / "x.json", script)
    assert "no evidence of " in report
    assert document["exec"]["exec_count"] == 6
    assert document["fleet"]["merged"]["completeness"]["reasons"][0].startswith("machine_missing: ")
    assert not agent.status()["running"]


@pytest.mark.thorough
def test_a_client_that_is_killed_leaves_no_run_of_its_own_machine(
    agent: RealAgent, other: RealAgent
) -> None:
    """Of other machines somebody has to end it: a run of a whole machine ends with nothing."""
    named = ["--agent", agent.url, "--agent", other.url]
    killed = subprocess.Popen(line("run", *named, "--", "sleep", "60"), stdin=subprocess.DEVNULL)
    eventually(lambda: other.status()["running"] and agent.status()["running"])
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    eventually(lambda: not agent.status()["running"])
    assert other.status()["running"]
    assert other.stop()["available"] is True


@pytest.mark.thorough
def test_two_agents_with_a_token_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        urls, lines = [], []
        for name in ("here", "db"):
            token, file = secrets.token_hex(32), tmp_path / name
            file.write_text(token)
            file.chmod(0o600)
            options = ["--machine", name, "--token-file", str(file)]
            agent = stack.enter_context(running(options, ready=False))
            with pytest.raises(AgentRefused, match="unauthorized"):
                agent.status()
            urls.append(agent.url)
            lines.append(f"{agent.url} {token}\n")
        tokens = tmp_path / "tokens"
        tokens.write_text("".join(lines))
        monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(tokens))
        document, report = run(*urls, tmp_path / "x.json", EXECS)
        assert "\nMachines\n" in report
        assert document["exec"]["exec_count"] == 6
        assert of_other(document)["labels"]["machine"] == "db"
        with collect(urls) as block:
            subprocess.run(["true"], check=True)
        assert block.evidence["exec"]["exec_count"] == 1
        assert of_other(block.evidence)["available"] is True
        tokens.write_text(lines[0])
        document, report = run(*urls, tmp_path / "x.json", EXECS)
        assert document["exec"]["exec_count"] == 6
        assert "unauthorized" in report


@pytest.mark.thorough
def test_a_block_of_two_agents(agent: RealAgent, other: RealAgent) -> None:
    with collect([agent.url, other.url]) as block:
        subprocess.run(["true"], check=True)
    assert block.evidence["exec"]["exec_count"] == 1
    assert of_other(block.evidence)["exec"]["exec_count"] >= 1
    assert block.evidence["fleet"]["merged"]["exec"]["exec_count"] >= 2
