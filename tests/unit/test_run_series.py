"""``run --runs``: real commands run again and again, with an agent of the contract around them."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import Request, ended
from fakes.run_agent import RunAgent
from fakes.run_command import UNTIL_IT_SLEEPS
from fakes.sample_evidence import evidence
from fakes.series import Done, command_line, environment, fails_in_run, run
from fakes.terminals import on_terminal

from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file to which commands append what they did."""
    return tmp_path / "trace"


def starts(agent: RunAgent) -> list[dict[str, Any]]:
    return [json.loads(r.body) for r in agent.requests if r.route == "POST /start"]


# --- the runs


def test_each_run_has_its_evidence_and_what_it_took(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--runs", 3, "--commit", "c0ffee", command=["sh", "-c", "exit 0"])
    assert (done.status, done.output) == (0, "")
    assert [(r["side"], r["round"]) for r in done.counted] == [("command", n) for n in (1, 2, 3)]
    for one in done.counted:
        assert one["evidence"] == agent.evidence
        assert one["command"]["exit_status"] == 0
        assert one["command"]["wall_ms"] > 0
    first, *others = starts(agent)
    assert "commit" not in first, "what compiles the programs has no labels"
    assert [start["commit"] for start in others] == ["c0ffee"] * 3
    assert agent.routes.count("POST /stop") == 4


def test_warming_up_counts_nowhere(agent: RunAgent, trace: Path) -> None:
    command = ["sh", "-c", f"echo run >> {trace}"]
    done = run(agent, trace, "--runs", 2, "--warmup", 3, command=command)
    assert trace.read_text().count("run") == 5
    assert len(done.saved["runs"]) == 2
    assert len(starts(agent)) == 3
    assert "\nruns      2, after 3 to warm up\n" in done.said


def test_output_is_discarded_and_input_is_empty(agent: RunAgent, trace: Path) -> None:
    said = "echo OUT | tr O o; echo ERR | tr E e >&2"  # not what the report quotes
    command = ["sh", "-c", f"read line || echo nothing >> {trace}; {said}"]
    done = run(agent, trace, "--runs", 2, command=command)
    assert trace.read_text() == "nothing\n" * 2
    assert done.output == ""
    assert "eRR" not in done.said
    shown = run(agent, trace, "--runs", 2, "--show-output", command=command)
    assert shown.output == "oUT\noUT\n"
    assert shown.said.count("eRR\n") == 2


def test_helpers_run_around_the_runs(agent: RunAgent, trace: Path) -> None:
    names = ("setup", "prepare", "conclude", "cleanup")
    helpers = [f"--{name}=sh -c 'echo {name} >> {trace}; echo loud'" for name in names]
    command = ["sh", "-c", f"echo run >> {trace}"]
    done = run(agent, trace, "--runs", 2, "--warmup", 1, *helpers, command=command)
    each = ["prepare", "run", "conclude"]
    assert trace.read_text().split() == ["setup", *each, *each, *each, "cleanup"]
    assert "loud" not in done.said + done.output


def test_a_shell_runs_them_if_asked(agent: RunAgent, trace: Path) -> None:
    line = f"echo $0 | cat >> {trace}"
    done = run(agent, trace, "--runs", 2, "--shell", "sh -e", "--setup", line, command=[line])
    assert done.status == 0
    assert trace.read_text() == "sh\n" * 3
    assert done.counted[0]["command"]["arguments"] == ["sh", "-e", "-c", line]


def test_without_a_shell_words_are_split_and_mean_nothing_else(
    agent: RunAgent, trace: Path
) -> None:
    line = f"sh -c 'printf \"%s\\n\" \"$@\" >> {trace}' - 'a  b' $HOME \\* ; '|' '' ü"
    run(agent, trace, "--runs", 1, "--setup", line, command=["true"])
    assert trace.read_text() == "a  b\n$HOME\n*\n;\n|\n\nü\n"


@pytest.mark.parametrize(
    ("line", "operator"),
    [
        ("echo x | cat", "|"),
        ("true && true", "&&"),
        ("echo x >/dev/null", ">/dev/null"),
        ('echo \'a | b\' \\; "x > \\" y" a|b', ""),
        ("echo 'a b' > /dev/null", ">"),
    ],
)
def test_a_line_that_needs_a_shell_gets_a_hint(
    agent: RunAgent, trace: Path, line: str, operator: str
) -> None:
    hint = (
        f"chainbench-agent run: --setup: no shell runs it, so {operator} is a word like any other;"
        " to have one: --shell sh\n"
    )
    done = run(agent, trace, "--runs", 1, "--setup", line, command=["true"])
    assert done.said.startswith(hint) if operator else "shell" not in done.said
    if operator:
        done = run(agent, trace, "--runs", 1, "--shell", "sh", "--setup", line, command=["true"])
        assert "no shell" not in done.said


def test_hostile_words_are_only_text(agent: RunAgent, trace: Path) -> None:
    words = ["true", "\x1b[31m", os.fsdecode(b"\xff"), "x\ny"]
    exported = trace.with_name("exported.json")
    done = run(agent, trace, "--runs", 2, "--export-json", exported, command=words)
    assert "\x1b" not in done.said
    saved = done.saved["series"]["commands"]["command"]
    assert saved == ["true", "\x1b[31m", "\\xff", "x\ny"]
    [result] = json.loads(exported.read_text())["results"]
    assert result["command"].startswith("true ")


def test_a_command_that_does_not_exist_is_one_line(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--runs", 2, command=["no-such | wc"])
    assert done.status == 127
    [said] = done.said.splitlines()
    assert said.endswith("(no shell runs it, unless --shell is given)")
    assert agent.requests == []


def test_without_an_agent_they_run_all_the_same_and_it_is_told_once(trace: Path) -> None:
    with ended() as gone:
        done = run(gone, trace, "--runs", 3, command=["true"])
    assert done.status == 0
    assert done.said.count("no evidence: ") == 1
    assert [run["evidence"]["available"] for run in done.counted] == [False] * 3
    assert "evidence  none in 3 runs" in done.said


def test_another_run_is_waited_for_once(agent: RunAgent, trace: Path) -> None:
    agent.busy = 10**6
    done = run(agent, trace, "--runs", 3, "--wait", "0.5", command=["true"])
    assert done.status == 0
    assert done.said.count("waiting for the end of another run") == 1
    assert (
        done.said.count(
            "no evidence of this run or any later one: another run did not end in 0.5 s (--wait)"
        )
        == 1
    )
    assert [run["evidence"]["available"] for run in done.counted] == [False] * 3


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), ["waking"]),
        (("--details", "wait_functions"), ["wait_functions", "waking"]),
        (("--details", "waking"), ["waking"]),
        (("--sections", "runqlat"), None),
    ],
)
def test_pairs_are_measured_with_what_only_comparing_needs(
    agent: RunAgent, trace: Path, options: tuple[str, ...], asked: list[str] | None
) -> None:
    run(agent, trace, "--baseline", "true", "--optimized", "true", "--runs", 1, *options)
    assert [start.get("details") for start in starts(agent)] == [asked] * 3, "one is a rehearsal"
    agent.requests.clear()
    run(agent, trace, "--runs", 1, command=["true"])
    assert [start.get("details") for start in starts(agent)] == [None] * 2


def test_an_agent_that_refuses_in_the_middle_is_told_once(agent: RunAgent, trace: Path) -> None:
    def refuse(request: Request) -> None:
        agent.refuse_start = agent.routes.count("POST /start") > 2

    agent.on_request = refuse
    done = run(agent, trace, "--runs", 4, command=["true"])
    assert done.status == 0
    assert done.said.count("no evidence of this run or any later one: the agent refused: ") == 1
    assert [run["evidence"]["available"] for run in done.counted] == [True, False, False, False]
    assert "evidence  1 degraded, none in 3 runs" in done.said


def test_daemons_of_all_runs_are_named(agent: RunAgent, trace: Path) -> None:
    script = f"setsid sleep 602 >/dev/null 2>&1 & echo $! >> {trace}; {UNTIL_IT_SLEEPS}"
    done = run(agent, trace, "--runs", 2, command=["sh", "-c", script])
    pids = sorted(int(line) for line in trace.read_text().split())  # as they are told
    try:
        named = f"left      running after its end: sleep ({pids[0]}), sleep ({pids[1]})\n"
        assert named in done.said
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


# --- two commands


def pair(agent: RunAgent, trace: Path, first: str, second: str, *options: object) -> Done:
    return run(agent, trace, "--baseline", first, "--optimized", second, *options)


def test_pairs_run_in_an_order_that_the_seed_gives(agent: RunAgent, trace: Path) -> None:
    lines = [f"sh -c 'echo {name} >> {trace}'" for name in "ab"]
    first = pair(agent, trace, *lines, "--runs", 8, "--seed", 5)
    order = trace.read_text().split()
    assert {tuple(order[n : n + 2]) for n in range(0, 16, 2)} == {("a", "b"), ("b", "a")}
    trace.unlink()
    pair(agent, trace, *lines, "--runs", 8, "--seed", 5)
    assert trace.read_text().split() == order
    assert first.saved["series"]["seed"] == 5
    sides = [r["side"] for r in first.saved["runs"]]
    assert [{"a": "baseline", "b": "optimized"}[name] for name in order] == sides
    assert [start["scenario"] for start in starts(agent)[1:17]] == sides
    comparison = first.saved["comparison"]
    assert comparison["pairs"] == 8
    assert comparison["baseline_first"] == sides[::2].count("baseline")


def test_a_seed_is_drawn_and_kept(agent: RunAgent, trace: Path) -> None:
    seeds = {pair(agent, trace, "true", "true", "--runs", 1).saved["series"]["seed"] for _ in "ab"}
    assert len(seeds) == 2


def test_a_difference_is_found_and_reported(agent: RunAgent, trace: Path) -> None:
    done = pair(agent, trace, "sleep 0.3", "sleep 0.01", "--runs", 7, "--impl", "python")
    few, report = done.said.split("\n", 1)
    assert few == "chainbench-agent run: 7 pairs: to test most figures of the table takes about 10"
    assert re.match(r"optimized takes [\d.]+ % less time \(", report)
    assert done.saved["comparison"]["outcome"] == "smaller"
    [sent] = [json.loads(r.body) for r in agent.requests if r.route == "POST /report"]
    assert sent["impl"] == "python"
    assert sent["baseline_ms"] > 300
    gain = 100 * (1 - sent["optimized_ms"] / sent["baseline_ms"])
    assert sent["gain_pct"] == pytest.approx(gain)
    assert (sent["baseline_success"], sent["optimized_success"]) == (7, 7)
    assert max(map(cells, done.said.splitlines())) <= 80


def test_what_ended_early_is_not_reported_to_others(agent: RunAgent, trace: Path) -> None:
    done = pair(agent, trace, "true", f"sh -c '{fails_in_run(2, trace, 'exit 7')[2]}'", "--runs", 4)
    assert done.status == 7
    assert "optimized exited with status 7 in run 2" in done.said
    assert "POST /report" not in agent.routes
    assert done.saved["comparison"]["pairs"] == 1
    assert "run: 4 pairs: a 95 % interval takes 6, and to test most figures" in done.said
    assert done.said.count("no decision: 1 pair, ") == 1


def test_what_is_large_is_not_imported_before_the_commands_have_ended() -> None:
    """Each command is a fork of this process, whose memory its own is measured against."""
    script = "import agent.run.series, sys; print({'numpy', 'scipy'} & set(sys.modules))"
    found = subprocess.check_output([sys.executable, "-Ic", script], text=True)
    assert found == "set()\n"


# --- when to end


def test_it_goes_on_until_the_interval_is_narrow(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--until", "90%", command=["sleep", "0.01"])
    assert len(done.counted) >= 10, "on a machine that is busy it may take more"
    assert done.saved["series"]["ended_by"] == "until"
    assert "ended     when half the interval was within 90 % of the median (--until)" in done.said


def test_pairs_go_on_until_their_ratio_is_known(agent: RunAgent, trace: Path) -> None:
    done = pair(agent, trace, "sleep 0.02", "sleep 0.02", "--until", "90%")
    assert done.saved["comparison"]["pairs"] >= 10, "on a machine that is busy it may take more"
    assert done.saved["series"]["ended_by"] == "until"


def test_it_does_not_go_on_for_ever(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--until", "0.000001%", "--max-runs", 12, command=["true"])
    assert len(done.counted) == 12
    assert done.saved["series"]["ended_by"] == "max_runs"
    assert "ended     at --max-runs 12, before " in done.said


# --- what a person sees meanwhile


def test_progress_is_for_a_terminal(agent: RunAgent, trace: Path) -> None:
    options = ["--runs", 8]
    with on_terminal(
        command_line(agent.url, *options, command=["sleep", "0.01"]), environment()
    ) as terminal:
        shown = terminal.to_the_end()
    assert "run 0/8 [" in shown
    lines = [line for line in shown.split("\r") if line.startswith("\x1b[Krun ")]
    assert "run 7/8 [████████▊ ] " in lines[-1]
    assert re.search(r" left, median [\d.]+ m?s$", lines[2])
    with_interval = r" left, median [\d.]+ m?s \([\d.]+ m?s – [\d.]+ m?s\)$"
    assert re.search(with_interval, lines[-1]), "once there is one"
    assert max(cells(line.removeprefix("\x1b[K")) for line in lines) < 80
    with on_terminal(
        command_line(agent.url, *options, "--quiet", command=["true"]), environment()
    ) as terminal:
        assert terminal.to_the_end() == ""
    piped = run(agent, trace, *options, command=["true"])
    assert "\r" not in piped.said
    assert "\x1b" not in piped.said


def test_what_is_said_meanwhile_does_not_stand_in_the_line(agent: RunAgent, trace: Path) -> None:
    agent.lacking = "CAP_BPF is missing"
    agent.evidence = {"available": False, "reason": agent.lacking}
    with on_terminal(
        command_line(agent.url, "--runs", 2, command=["true"]), environment()
    ) as terminal:
        shown = terminal.to_the_end()
    assert shown.count("\r\x1b[Kchainbench-agent run: no evidence: CAP_BPF is missing\n") == 1


def test_the_report_is_for_80_columns(agent: RunAgent, trace: Path) -> None:
    agent.evidence = evidence(run_id="run-1")
    done = run(agent, trace, "--runs", 6, command=["sh", "-c", "exit 0", *"abcdefgh" * 20])
    assert max(map(cells, done.said.splitlines())) <= 80
    for label in ("command", "runs", "time", "evidence"):
        assert f"\n{label:<10}" in f"\n{done.said}"
    assert "95 % interval" in done.said


# --- for hyperfine's readers


KEYS = [
    "command",
    "mean",
    "stddev",
    "median",
    "user",
    "system",
    "min",
    "max",
    "times",
    "exit_codes",
]


def test_the_export_has_the_form_of_hyperfines(agent: RunAgent, trace: Path) -> None:
    file = trace.with_name("exported.json")
    done = run(agent, trace, "--runs", 3, "--export-json", file, command=["sleep", "0.01"])
    [result] = json.loads(file.read_text())["results"]
    assert list(result) == KEYS
    assert result["command"] == "sleep 0.01"
    times = [r["command"]["wall_ms"] / 1e3 for r in done.counted]
    assert result["times"] == pytest.approx(times, abs=1e-6)
    assert result["min"] <= result["median"] <= result["max"]
    run(agent, trace, "--runs", 1, "--export-json", file, command=["true"])
    assert json.loads(file.read_text())["results"][0]["stddev"] is None


def test_two_commands_have_two_results(agent: RunAgent, trace: Path) -> None:
    file = trace.with_name("exported.json")
    pair(agent, trace, "true a", "true b", "--runs", 2, "--export-json", file)
    results = json.loads(file.read_text())["results"]
    assert [result["command"] for result in results] == ["true a", "true b"]
