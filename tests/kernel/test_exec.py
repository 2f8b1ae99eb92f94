"""Execs: each success counts once, under the name of the new program; nothing else counts."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.program import program, true_as
from fakes.real_agent import RealAgent
from prometheus_client.parser import text_string_to_metric_families

RUNS = 200


@pytest.fixture
def alias(tmp_path: Path) -> Callable[[bytes], str]:
    """``alias(b"name")`` makes ``true`` available under another name."""
    return partial(true_as, tmp_path)


def count_of(evidence: Any, command: str) -> int:
    return sum(
        row["count"] for row in evidence["exec"]["top_commands"] if row["command"] == command
    )


def test_200_runs_of_a_command_are_200(agent: RealAgent, alias: Callable[[bytes], str]) -> None:
    path = alias(b"cba-two-hundred")
    with program("execs") as execs, agent.run() as run:
        result = execs.work(json.dumps({"how": "plain", "path": path, "count": RUNS}))
    assert result["succeeded"] == RUNS
    assert count_of(run.evidence, "cba-two-hundred") == RUNS
    assert run.evidence["exec"]["exec_count"] >= RUNS


@pytest.mark.parametrize("how", ["execveat", "thread"])
def test_other_ways_to_exec_count_once(
    agent: RealAgent, alias: Callable[[bytes], str], how: str
) -> None:
    """execveat(2), and an exec by a thread that is not the leader, which changes its thread id."""
    path = alias(b"cba-other-way")
    with program("execs") as execs, agent.run(scope=execs.scope) as run:
        result = execs.work(json.dumps({"how": how, "path": path, "count": 20}))
    assert result["succeeded"] == 20
    assert count_of(run.evidence, "cba-other-way") == 20
    assert run.evidence["exec"]["exec_count"] == run.evidence["exec"]["attempts"] == 20


def test_failures_and_forks_are_no_execs(agent: RealAgent, tmp_path: Path) -> None:
    missing = json.dumps({"how": "plain", "path": str(tmp_path / "missing"), "count": 30})
    forks = json.dumps({"how": "fork_only", "path": "", "count": 30})
    with program("execs") as execs, agent.run(scope=execs.scope) as run:
        assert execs.work(missing)["failed"] == 30
        assert execs.work(forks)["succeeded"] == 30
    assert run.evidence["exec"]["exec_count"] == 0
    assert run.evidence["exec"]["attempts"] == 30
    assert run.evidence["exec"]["top_commands"] == []
    assert run.evidence["exec"]["forks"] == 60


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b'"},\\{"', '"},\\{"'),
        (b"\xff\xfe\x80", "\ufffd\ufffd\ufffd"),
        (b"new\nline\ttab", "new\nline\ttab"),
        (b"\x1b[31m\x7f\x01", "\x1b[31m\x7f\x01"),
        # the kernel keeps 15 bytes, so the last letter is cut in half
        ("ääääääää".encode(), "äääääää\ufffd"),
        (b"<img onerror=1>", "<img onerror=1>"),
    ],
    ids=["quotes", "no-utf8", "lines", "escapes", "cut", "markup"],
)
def test_hostile_names_are_only_text(
    agent: RealAgent, alias: Callable[[bytes], str], name: bytes, shown: str
) -> None:
    path = alias(name)
    with program("execs") as execs, agent.run(scope=execs.scope) as run:
        execs.work(json.dumps({"how": "plain", "path": path, "count": 3}))
    assert run.evidence["exec"]["top_commands"] == [{"command": shown, "count": 3}]
    assert list(text_string_to_metric_families(agent.metrics()))
