"""``run`` for commands that run again and again, with the real kernel and next to hyperfine."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.needs import needs_two_cpus
from fakes.own_network import in_own_network
from fakes.real_agent import RealAgent
from fakes.series import Done, command_line, environment, series
from fakes.wall_times import PYTHON

from agent.client.interpreter import own_module
from agent.statistics.sample import median_interval

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def test_each_run_has_evidence_of_its_own(agent: RealAgent, tmp_path: Path) -> None:
    command = ["sh", "-c", "/bin/true; /bin/true; sleep 0.05"]
    done = series(agent.url, tmp_path / "x.json", "--runs", 3, "--warmup", 1, command=command)
    assert done.status == 0, done.said
    whole = [run["evidence"] for run in done.counted]
    assert all(evidence["available"] for evidence in whole)
    assert len({evidence["run_id"] for evidence in whole}) == 3
    assert [evidence["exec"]["exec_count"] for evidence in whole] == [4, 4, 4]
    pids = {evidence["scope"]["pid"] for evidence in whole}
    assert len(pids) == 3
    figures = {one["name"]: one for one in done.saved["sides"]["command"]["figures"]}
    assert figures["execs"]["median"]["middle"] == 4
    assert figures["blocked: clock_nanosleep"]["median"]["middle"] == pytest.approx(50, rel=0.5)
    for section, merged in done.saved["sides"]["command"]["histograms"].items():
        total = sum(row["count"] for row in merged)
        assert total == sum(evidence[section]["count"] for evidence in whole)


@pytest.mark.thorough
def test_what_differs_between_two_commands_is_named(agent: RealAgent, tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; "
    lines = [f"sh -c '{script} sleep {sleep}; true'" for sleep in (0.05, 0.45)]
    options = ["--baseline", lines[0], "--optimized", lines[1], "--runs", 10]
    done = series(agent.url, tmp_path / "x.json", *options)
    assert done.saved["comparison"]["outcome"] == "larger", done.said
    found = {one["name"]: one for one in done.saved["comparison"]["figures"]}
    slept = found["blocked: clock_nanosleep"]
    assert slept["outcome"] == "larger"
    assert slept["difference"]["middle"] == pytest.approx(400, rel=0.2)
    of_wall_time = found["wall: blocked"]
    assert of_wall_time["outcome"] == "larger"
    assert of_wall_time["difference"]["middle"] == pytest.approx(400, rel=0.2)
    assert found["execs"]["outcome"] == "undecided"
    assert 'chainbench_duration_milliseconds{scenario="baseline"' in agent.metrics()


@pytest.mark.thorough
def test_a_slow_run_is_explained(agent: RealAgent, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = f"echo >> {trace}; sleep 0.02; [ $(wc -l < {trace}) -ne 6 ] || sleep 0.5"
    done = series(agent.url, tmp_path / "x.json", "--runs", 9, command=["sh", "-c", script])
    found = {row["round"]: row for row in done.saved["sides"]["command"]["wall_ms"]["outliers"]}
    assert found[6]["excess_ms"] == pytest.approx(500, rel=0.2)
    more = {one["name"]: one["more_ms"] for one in found[6]["beyond"]}
    assert more["blocked: clock_nanosleep"] == pytest.approx(500, rel=0.1)
    said = " ".join(done.said.split())
    if found[6]["parts"] is None:  # its budget cannot be relied on
        assert "blocked: clock_nanosleep +" in said
    else:
        assert re.search(r"run 6 took .* blocked in clock_nanosleep \(sleep\)", said), said


@needs_two_cpus
@pytest.mark.thorough
def test_who_had_the_cpu_of_a_slow_run_is_named(agent: RealAgent, tmp_path: Path) -> None:
    """A program that is not the command's takes turns with it in the seventh of eight runs.

    Both come before whatever else this machine does, and have the CPU for a slice each time. The
    command computes for two and a half slices, so it waits for two whole ones at least. Other tests
    may have as much of the CPU in other runs, of which the seventh then does not stand out.
    """
    slice_ms = int(Path("/proc/sys/kernel/sched_rr_timeslice_ms").read_text())
    program = tmp_path / "apt"
    program.symlink_to(shutil.which("sh") or "/bin/sh")
    for attempt in range(3):
        done = beside_another(agent, program, tmp_path / str(attempt), 2.5 * slice_ms)
        assert done.status == 0, done.said
        found = {row["round"]: row for row in done.saved["sides"]["command"]["wall_ms"]["outliers"]}
        if 7 in found and found[7]["parts"]:
            break
    [part, *_] = found[7]["parts"]
    assert (part["name"], part["command"]) == ("for a busy CPU", "apt")
    assert part["more_ms"] > slice_ms, "half of what it takes at least"
    assert "waiting for a CPU, which apt had" in " ".join(done.said.split())


def beside_another(agent: RealAgent, program: Path, folder: Path, cpu_ms: float) -> Done:
    folder.mkdir()
    trace, pid = folder / "trace", folder / "pid"
    hog = f"chrt --rr 1 taskset -c 1 timeout 20 {program} -c 'while :; do :; done'"
    starts = f"echo >> {trace}; [ $(wc -l < {trace}) -ne 7 ] || {{ {hog} & echo $! > {pid}; }}"
    ends = f"[ ! -e {pid} ] || kill $(cat {pid}); rm -f {pid}"
    helpers = [
        f"--{name}={shlex.join(['sh', '-c', script])}"
        for name, script in (("prepare", starts), ("conclude", ends))
    ]
    loop = f"import time\nwhile time.process_time() < {cpu_ms / 1e3}: pass"
    command = [*("chrt", "--rr", "1", "taskset", "-c", "1"), *PYTHON, "-c", loop]
    return series(agent.url, folder / "x.json", "--runs", 8, *helpers, command=command)


@pytest.mark.thorough
def test_equal_commands_do_not_differ(agent: RealAgent, tmp_path: Path) -> None:
    options = ["--baseline", "sleep 0.02", "--optimized", "sleep 0.02", "--runs", 10]
    done = series(agent.url, tmp_path / "x.json", *options, "--min-effect", "50%")
    assert done.saved["comparison"]["outcome"] in ("undecided", "too small"), done.said


@pytest.mark.thorough
def test_one_agent_of_its_own_measures_all_runs(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    arguments = ["run", "--runs", "3", "--json", str(file), "--", "sleep", "0.01"]
    done = subprocess.run(
        in_own_network(own_module("agent", *arguments).command),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole = [run["evidence"] for run in json.loads(file.read_text())["runs"]]
    assert all(evidence["available"] for evidence in whole)
    ids = {process["pid"] for one in whole for process in one["overhead"]["processes"]}
    assert len(ids) == len(whole[0]["overhead"]["processes"])


@pytest.mark.thorough
def test_next_to_hyperfine(agent: RealAgent, tmp_path: Path, tool: Callable[[str], str]) -> None:
    """What both export has the same keys and types."""
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    command = ["sleep", "0.2"]
    options = ["--runs", 10, "--warmup", 1, "--quiet", "--export-json", ours]
    subprocess.run(
        command_line(agent.url, *options, command=command), env=environment(), check=True
    )
    subprocess.run(
        [tool("hyperfine"), "-N", "-w", "1", "-r", "10", "--export-json", theirs, "sleep 0.2"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    [mine], [other] = (json.loads(file.read_text())["results"] for file in (ours, theirs))
    missing = set(mine) ^ set(other)
    assert missing <= {"memory_usage_byte"}, "which newer ones have"
    for key in set(mine) & set(other):
        assert type(mine[key]) is type(other[key]), key
    assert mine["exit_codes"] == other["exit_codes"]
    assert mine["command"] == other["command"]


COMPUTES = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
ATTEMPTS = 5
"""Others use this machine, and not as much while the one runs as while the other does."""


@pytest.mark.thorough
def test_its_median_is_hyperfines_within_the_noise_of_both(
    agent: RealAgent, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    """The intervals of both medians have times in common.

    Ours begins with the exec of a fork of an interpreter, which takes half a millisecond or more
    longer than that of what hyperfine forks: theirs lies between ours and the one from the exec on.
    """
    ours, theirs, saved = (tmp_path / name for name in ("ours.json", "theirs.json", "saved.json"))
    often = ["--warmup", "1", "--runs", "20", "--export-json"]
    by_hyperfine = [tool("hyperfine"), "-N", *often, theirs, f"sh -c '{COMPUTES}'"]
    options = [*often, ours, "--json", saved, "--quiet"]
    by_run = command_line(agent.url, *options, command=["sh", "-c", COMPUTES])
    found = []
    for _ in range(ATTEMPTS):
        for command in (by_hyperfine, by_run):
            subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
        mine, other = (
            median_interval(json.loads(file.read_text())["results"][0]["times"])
            for file in (ours, theirs)
        )
        runs = [run for run in json.loads(saved.read_text())["runs"] if run["counts"]]
        from_exec = median_interval([run["evidence"]["wall"]["wall_ms"] / 1e3 for run in runs])
        found.append((from_exec, mine, other))
        if from_exec.low <= other.high and other.low <= mine.high:
            return
    assert not found
