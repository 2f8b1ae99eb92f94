"""The scripts that our pages give to others, while somebody else has a run, and while none is."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from fakes.examples import AGENTS, examples
from fakes.pages import ROOT, snippets
from fakes.waiting import PATIENCE_SECONDS

from agent.client.http_client import AgentClient
from agent.client.spawn import running_agent

README = ROOT / "README.md"
WORK = re.compile(r"^(tar|gzip|\./benchmark|\.venv/bin/chainbench-agent).*$", re.MULTILINE)
"""What takes long in them, and what is not in the test's folder."""


def in_readme() -> tuple[str, str]:
    """Return its script of Python and that of a shell."""
    [python] = [text for text in snippets(README, "python") if "/stop" in text]
    shell = re.findall(r"(?:^    .*\n)+", README.read_text(), re.MULTILINE)
    [curl] = [dedent(text) for text in shell if "/stop" in text]
    saved = '\nimport json\njson.dump(evidence, open("evidence.json", "w"))\n'
    return f"sha = sha256 = 'abc'\n{python}{saved}", curl


def begins_and_ends_one() -> str:
    """Return what hyperfine runs by the page about it: before the first run, and after the last."""
    _, each_run, _ = examples("hyperfine.md", "sh")
    return f"set -- $$\n{each_run}\nset --\n{each_run}"


SCRIPTS = {
    "README, Python": ("evidence.json", in_readme()[0]),
    "README, shell": ("evidence.json", in_readme()[1]),
    "from-a-shell.md": ("baseline.json", examples("from-a-shell.md", "sh")[0]),
    "from-a-shell.md, two": ("gzip-1-8.json", examples("from-a-shell.md", "sh")[3]),
    "hyperfine.md": ("evidence-0.json", begins_and_ends_one()),
}


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentClient]:
    with running_agent(["--mock"]) as agent:
        yield agent


def run(name: str, agent: AgentClient, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = AGENTS.sub(agent.url, SCRIPTS[name][1])
    words = [sys.executable, "-c", script]
    if "Python" not in name:
        # importing and comparing what the last one saves is tried with the real kernel
        words = ["bash", "-c", WORK.sub("true", script).partition("chainbench-agent")[0]]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


one_by_default = pytest.mark.thorough(but="from-a-shell.md")


@pytest.mark.parametrize("name", SCRIPTS)
@one_by_default
def test_they_save_evidence_of_their_own_run(name: str, agent: AgentClient, tmp_path: Path) -> None:
    done = run(name, agent, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    evidence = json.loads((tmp_path / SCRIPTS[name][0]).read_text())
    assert evidence["completeness"]["verdict"] == "complete"
    assert "ignored" not in evidence
    assert not agent.get("/status")["running"]


@pytest.mark.parametrize("name", SCRIPTS)
@one_by_default
def test_they_end_nobody_elses(name: str, agent: AgentClient, tmp_path: Path) -> None:
    theirs = agent.post("/start", {"scenario": "theirs"})["run_id"]
    try:
        done = run(name, agent, tmp_path)
        assert "409" in done.stderr
        assert not (tmp_path / SCRIPTS[name][0]).exists()
        assert agent.get("/status")["run_id"] == theirs
    finally:
        agent.post("/stop")
