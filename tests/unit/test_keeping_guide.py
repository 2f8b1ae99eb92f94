"""docs/how-to/keeping-runs.md: its examples, as written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.examples import examples, tried
from fakes.kept import keep_in, single
from fakes.run_agent import RunAgent


def test_the_examples_of_the_page(
    agent: RunAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, programs = tmp_path / "state", tmp_path / "programs"
    programs.mkdir()
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (programs / "sudo").chmod(0o755)
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    labelled = single(variant="plain", commit="a468cb6")
    old = {**labelled, "run_id": "2f1c6f0e-0000-4000-8000-000000000000"}
    keep_in(home / "chainbench-agent" / "runs.db", old)

    now = {"started_at": datetime.now(UTC).isoformat()}
    agent.evidence = {**single(variant="plain"), **now}
    del agent.evidence["command"]
    [session] = examples("keeping-runs.md", "console")
    run = session.splitlines()[0].removeprefix("$ ")
    assert "kept      " in tried(f"{run} 2>&1", tmp_path, agent.url)

    # what a service keeps is tried in tests/kernel/test_data_dir.py
    find, script, exchange, over, _, _, limits = examples("keeping-runs.md", "sh")
    found = tried(find, tmp_path, agent.url)
    assert found.count("Kernel evidence") == 3
    assert "sleep 0.1" in found
    [new, older] = tried(script, tmp_path, agent.url).splitlines()
    assert older == f"{old['run_id']} 12.5 degraded"
    assert "1 run kept already" in tried(exchange, tmp_path, agent.url)
    assert (tmp_path / "run.json").exists()
    assert "1 run kept already" in tried(over, tmp_path, agent.url)
    said = tried(limits, tmp_path, agent.url)
    assert "days  90\nruns  10,000\nsize  500 MiB\n" in said
    assert "deleted 1 run: 2f1c6f0e\n" in said
    assert new.split()[0] in tried("chainbench-agent runs list --json", tmp_path, agent.url)
