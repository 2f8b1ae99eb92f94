"""``compare`` of runs that were really made, and kept by ``run``."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.processes import launched
from fakes.real_agent import RealAgent
from fakes.series import environment, series
from fakes.waiting import eventually

from agent.client.interpreter import own_module

pytestmark = [pytest.mark.usefixtures("as_from_a_shell"), pytest.mark.thorough]
RUNS = 8


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def compare(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = own_module("agent", "compare", *arguments).command
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


def compared(*arguments: str) -> dict[str, Any]:
    done = compare(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.usefixtures("own_store")
def test_kept_pairs_have_the_cause_that_run_has_named(agent: RealAgent, tmp_path: Path) -> None:
    lines = ["--baseline", "sleep 0.02", "--optimized", "sleep 0.2"]
    done = series(agent.url, tmp_path / "x.json", *lines, "--runs", RUNS)
    assert done.status == 0, done.said
    found = compared("last")
    assert found["comparison"]["method"] == "pairs"
    assert found["comparison"]["outcome"] == "larger"
    own, kept = (one["comparison"]["cause"] for one in (done.saved, found))
    assert kept["name"] == own["name"] == "sleeping"
    assert kept["part_ms"] == pytest.approx(own["part_ms"], abs=0.01), "times are kept in µs"
    evidence = found["evidence"]
    assert evidence["available"] is True
    lowers = [
        [row["bucket_us"] for row in evidence["runqlat"][f"{side}_hist"]]
        for side in ("baseline", "optimized")
    ]
    assert lowers[0] == lowers[1] != []
    done_again = compare("last", "--fail-if-slower", "50%")
    assert done_again.returncode == 2
    assert "slower by more than 50 % beyond doubt" in " ".join(done_again.stderr.split())


@pytest.mark.usefixtures("own_store")
def test_groups_that_were_kept_have_a_cause_too(agent: RealAgent, tmp_path: Path) -> None:
    for variant, seconds in (("short", "0.02"), ("long", "0.2")):
        options = ["--runs", RUNS, "--variant", variant]
        command = ["sleep", seconds]
        done = series(agent.url, tmp_path / f"{variant}.json", *options, command=command)
        assert done.status == 0, done.said
    found = compared("variant=short", "variant=long")
    assert found["comparison"]["method"] == "groups"
    assert found["comparison"]["order"] == "sequential"
    assert found["comparison"]["outcome"] == "larger"
    assert found["comparison"]["cause"]["name"] == "sleeping"
    text = " ".join(compare("variant=short", "variant=long").stdout.split())
    assert "by longer sleep" in text, text  # what other parts made up may follow
    assert "(blocked in clock_nanosleep" in text, text
    assert "one side after the other; no pairs" in text
    files = [str(tmp_path / f"{variant}.json") for variant in ("short", "long")]
    from_files = compared(*files)["comparison"]
    assert from_files["change_pct"] == found["comparison"]["change_pct"], "stored or not"


def test_runs_that_a_service_keeps_are_compared(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # which every user may reach
        os.chmod(folder, 0o755)
        user = ["--user", "65532"] if os.geteuid() == 0 else []
        options = [*user, "--data-dir", f"{folder}/data"]
        with launched(tmp_path / "log", *options) as agent:
            agent.settle()
            for number in range(2 * RUNS):
                scenario, seconds = [("baseline", 0.02), ("optimized", 0.1)][number % 2]
                agent.start(scenario=scenario, scope="caller")
                time.sleep(seconds)
                agent.stop()
            eventually(lambda: len(agent.get("/runs")["runs"]) == 2 * RUNS)
            sides = ["scenario=baseline", "scenario=optimized"]
            found = compared("--agent", agent.url, *sides)
            newest = agent.get("/runs?limit=1")["runs"][0]["run_id"]
            refused = compare("--agent", agent.url, "last", newest[:8])
    assert found["comparison"]["method"] == "groups"
    assert found["comparison"]["outcome"] == "larger"
    assert found["comparison"]["order"] == "interleaved"
    assert found["compared"]["timed_by"] == "evidence"
    assert refused.returncode == 1
    assert "is on both sides" in refused.stderr
