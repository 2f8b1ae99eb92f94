"""``run --runs``: what does not go as planned, and Ctrl-C."""

import json
import signal
from pathlib import Path

import pytest
from fakes.run_agent import RunAgent
from fakes.series import command_line, environment, fails_in_run, run
from fakes.terminals import CTRL_C, on_terminal

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file to which commands append what they did."""
    return tmp_path / "trace"


def test_a_run_that_fails_ends_the_series_with_its_status(agent: RunAgent, trace: Path) -> None:
    command = fails_in_run(3, trace, "exit 7")
    done = run(
        agent, trace, "--runs", 9, "--cleanup", f"sh -c 'echo clean >> {trace}'", command=command
    )
    assert done.status == 7
    assert trace.read_text() == "run\nrun\nrun\nclean\n"
    assert "the command exited with status 7 in run 3 (--ignore-failure goes on" in done.said
    assert [r["counts"] for r in done.saved["runs"]] == [True, True, False]
    assert done.saved["runs"][2]["evidence"] == agent.evidence
    assert done.saved["series"]["ended_by"] == "failure"
    assert "\nruns      2\n" in done.said


def test_a_run_that_is_killed_ends_it_with_the_signal(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--runs", 9, command=fails_in_run(2, trace, "kill -9 $$"))
    assert done.status == -signal.SIGKILL
    assert "the command was killed by SIGKILL in run 2" in done.said


def test_failures_count_if_asked(agent: RunAgent, trace: Path) -> None:
    exported = trace.with_name("exported.json")
    command = fails_in_run(2, trace, "exit 7")
    options = ["--runs", 3, "--ignore-failure", "--export-json", exported]
    done = run(agent, trace, *options, command=command)
    assert done.status == 0
    assert len(done.counted) == 3
    assert "runs      3, 1 of them failed" in done.said
    assert json.loads(exported.read_text())["results"][0]["exit_codes"] == [0, 7, 0]


def test_a_warm_up_that_fails_ends_it_too(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--runs", 2, "--warmup", 1, command=["false"])
    assert done.status == 1
    assert "in the warm-up" in done.said
    assert done.saved["runs"] == []
    assert "runs      none is complete" in done.said


@pytest.mark.parametrize("option", ["--setup", "--prepare", "--conclude", "--cleanup"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sh -c 'exit 3'", "exited with status 3: sh -c 'exit 3'"),
        ("no-such-program x", "cannot be run: no-such-program: No such file or directory"),
    ],
)
def test_a_helper_that_fails_ends_it(
    agent: RunAgent, trace: Path, option: str, line: str, said: str
) -> None:
    done = run(agent, trace, "--runs", 2, option, line, command=["true"])
    assert done.status == 125
    assert f"chainbench-agent run: {option} {said}\n" in done.said
    complete = {"--setup": 0, "--prepare": 0, "--conclude": 1, "--cleanup": 2}[option]
    assert len(done.counted) == complete


def test_why_there_is_no_evidence_is_said_once(agent: RunAgent, trace: Path) -> None:
    def loses_all_but_the_rehearsal(pid: int) -> None:
        agent.lost = len(agent.scopes) > 1

    agent.on_start = loses_all_but_the_rehearsal
    done = run(agent, trace, "--runs", 2, command=["true"])
    assert len(agent.scopes) == 3
    assert done.said.count("no evidence: the evidence is lost: 500 internal_error: a defect") == 1


def test_evidence_of_the_rehearsal_that_is_lost_costs_no_run_its_own(
    agent: RunAgent, trace: Path
) -> None:
    def loses_the_rehearsal(pid: int) -> None:
        agent.lost = len(agent.scopes) == 1

    agent.on_start = loses_the_rehearsal
    done = run(agent, trace, "--runs", 2, command=["true"])
    assert len(agent.scopes) == 3
    assert "no evidence" not in done.said
    assert [r["evidence"]["available"] for r in done.saved["runs"]] == [True, True]


def test_what_came_first_is_why_it_ended(agent: RunAgent, trace: Path) -> None:
    done = run(agent, trace, "--runs", 2, "--cleanup", "false", command=["sh", "-c", "exit 7"])
    assert done.status == 7
    assert "--cleanup exited with status 1" in done.said
    assert done.saved["series"]["ended_early"].startswith("the command exited with status 7")


SLOW_FROM = "echo run >> {0}; [ $(wc -l < {0}) -lt {1} ] || exec sleep 600"


def test_ctrl_c_prints_what_there_is(agent: RunAgent, trace: Path) -> None:
    file = trace.with_name("series.json")
    command = ["sh", "-c", SLOW_FROM.format(trace, 4)]
    options = ["--json", file, "--runs", 9, "--cleanup", f"sh -c 'echo clean >> {trace}'"]
    with on_terminal(command_line(agent.url, *options, command=command), environment()) as terminal:
        terminal.wait_for("run 3/9")
        while trace.read_text().count("run") < 4:
            terminal.shown()
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert terminal.process.returncode == -signal.SIGINT
    assert "ended by SIGINT" in shown
    assert "\nruns      3\n" in shown
    assert "Traceback" not in shown
    assert trace.read_text().endswith("run\nclean\n")
    saved = json.loads(file.read_text())
    assert [r["counts"] for r in saved["runs"]] == [True, True, True, False]
    assert agent.run_id == "", "the run that it interrupted is ended"


def test_a_command_that_survives_ctrl_c_ends_the_series_all_the_same(
    agent: RunAgent, trace: Path
) -> None:
    script = f"trap 'exit 0' INT; echo run >> {trace}; while :; do sleep 0.05; done"
    command = command_line(agent.url, "--runs", 9, command=["sh", "-c", script])
    with on_terminal(command, environment()) as terminal:
        while not trace.exists():
            terminal.shown()
        terminal.type(CTRL_C)
        terminal.to_the_end()
    assert terminal.process.returncode == -signal.SIGINT
    assert trace.read_text() == "run\n"


def test_ctrl_c_while_a_helper_runs(agent: RunAgent, trace: Path) -> None:
    options = ["--runs", 9, "--prepare", f"sh -c 'echo prepare >> {trace}; sleep 600'"]
    with on_terminal(
        command_line(agent.url, *options, command=["true"]), environment()
    ) as terminal:
        while not trace.exists():
            terminal.shown()
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert terminal.process.returncode == -signal.SIGINT
    assert "ended by SIGINT" in shown


@pytest.mark.parametrize("option", ["--json", "--export-json"])
def test_a_file_that_cannot_be_written_is_told_before(
    agent: RunAgent, trace: Path, option: str
) -> None:
    done = run(agent, trace, "--runs", 1, option, "/no/such/file", command=["touch", str(trace)])
    assert done.status == 125
    assert not trace.exists()
