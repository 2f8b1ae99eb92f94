"""`overhead` with a real agent: what a person sees on a terminal and in a log, and what is kept."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from fakes.terminals import on_terminal

from agent.client.interpreter import own_module
from agent.overhead.results import Result
from agent.sections.probes import SECTIONS
from agent.terminal.width import cells


@pytest.mark.thorough
@pytest.mark.parametrize("columns", [50, 80])
def test_on_a_terminal_nothing_wraps(columns: int) -> None:
    started = own_module("agent", "overhead", "--rounds", "1", "--", "sleep", "0.02")
    environment = {**started.environment, "TERM": "xterm"}
    with on_terminal(started.command, environment, columns) as terminal:
        text = terminal.to_the_end()
        assert terminal.process.returncode == 0
    progress, _, table = text.rpartition("\x1b[K")
    lines = re.split(r"\r\x1b\[K|\n", progress)
    assert len([line for line in lines if " left: " in line]) > 10
    assert max(map(cells, lines)) < columns
    assert max(map(cells, table.splitlines())) <= columns
    assert "fewer than 6 pairs have no 95 % interval" in " ".join(table.split())


@pytest.mark.thorough
def test_without_a_terminal_there_is_progress_and_a_late_failure_keeps_the_table(
    tmp_path: Path,
) -> None:
    """The command runs for a third of a second, so that it is not repeated, and fails at last."""
    runs, saved = tmp_path / "runs", tmp_path / "result.json"
    script = (
        f"echo >>{runs}; sleep 0.35; test $(wc -l <{runs}) -lt 40 || {{ echo full >&2; false; }}"
    )
    started = own_module(
        "agent", "overhead", "--rounds", "6", "--json", str(saved), "--", "sh", "-c", script
    )
    done = subprocess.run(
        started.command, env=started.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert re.fullmatch(r"command: 0/\d+: starting", first)
    assert re.search(r"^command: \d+/119, .*\d s left: ", done.stderr, re.MULTILINE)
    # the first run was to find out how long one takes
    assert re.match(r"chainbench-agent overhead: run 39 of 119 \(round 2, \S.*\) failed: sh", last)
    assert last.endswith("status 1: full; measured so far:")
    assert "all five sections" in done.stdout
    [workload] = Result.from_json(json.loads(saved.read_text())).workloads
    assert workload.ended in last
    assert {measured.name for measured in workload.measured} >= {"nothing", *SECTIONS, "all"}
