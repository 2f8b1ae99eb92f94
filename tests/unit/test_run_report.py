"""``chainbench-agent run``: the report, the files that keep it, and where it cannot be written."""

import json
from pathlib import Path

import pytest
from fakes.agent_server import ended
from fakes.run_agent import RunAgent
from fakes.run_command import in_shell, run
from fakes.sample_evidence import evidence

from agent.show.command import show
from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def test_the_report_is_for_80_columns_and_short(agent: RunAgent) -> None:
    agent.evidence = evidence(run_id="run-1")
    done = run(agent, ["sh", "-c", "exit 0", *(f"argument-{n}" for n in range(30))])
    lines = done.stderr.splitlines()
    assert max(map(cells, lines)) <= 80
    assert "\x1b" not in done.stderr
    for label in ("command", "ended", "time", "memory", "waiting", "block I/O", "blocked", "execs"):
        assert any(told.startswith(f"{label:<10}") for told in lines)
    assert lines[-2].startswith("cost      ")
    assert lines[-1].startswith("kept      ")
    assert "Verdict: degraded" in done.stderr
    assert "3 events of biolatency were lost" in done.stderr


def test_files_keep_the_report_and_the_evidence(
    agent: RunAgent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, file = tmp_path / "report", tmp_path / "evidence.json"
    done = run(agent, ["true"], "--output", output, "--json", file)
    assert (done.stdout, done.stderr) == ("", "")
    report = output.read_text()
    assert report.startswith("command   true\nended     with status 0\n")
    assert max(map(cells, report.splitlines())) <= 80
    saved = json.loads(file.read_text())
    assert saved.pop("command")["exit_status"] == 0
    assert saved == agent.evidence
    assert show(str(file)) == 0
    assert "\nCommand\n  command   true\n  ended     with status 0\n" in capsys.readouterr().out


def test_quiet_says_nothing(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    done = run(agent, ["sh", "-c", "exit 3"], "--quiet", "--json", file)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert json.loads(file.read_text())["command"]["exit_status"] == 3


def test_without_evidence_the_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    with ended() as gone:
        run(gone, ["true"], "--json", file)
    saved = json.loads(file.read_text())
    assert saved["available"] is False
    assert saved["reason"].startswith("no answer from")
    assert saved["command"]["exit_status"] == 0


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(exec true)"])
@pytest.mark.parametrize("status", [0, 3])
def test_a_report_that_cannot_be_written_changes_nothing(
    agent: RunAgent, stderr: str, status: int
) -> None:
    done = in_shell(agent, f"measured -- sh -c 'sleep 0.2; exit {status}' {stderr}; echo $?")
    assert done.stdout == f"{status}\n"
    assert agent.routes[-1] == "POST /stop"


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_full_disk_is_reported_and_the_status_stays(agent: RunAgent, option: str) -> None:
    done = run(agent, ["sh", "-c", "exit 3"], option, "/dev/full")
    assert done.returncode == 3
    assert "cannot write /dev/full: No space left on device\n" in done.stderr


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_file_that_cannot_be_written_is_reported_before_the_command_runs(
    agent: RunAgent, option: str, tmp_path: Path
) -> None:
    done = run(agent, ["touch", str(tmp_path / "trace")], option, "/no/such/folder/file")
    why = "cannot write /no/such/folder/file: No such file or directory"
    assert (done.returncode, done.stderr) == (125, f"chainbench-agent run: {why}\n")
    assert list(tmp_path.iterdir()) == []
    assert agent.requests == []


def test_two_results_are_not_written_to_one_file(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "result"
    done = run(agent, ["touch", str(tmp_path / "trace")], "--output", file, "--json", file)
    why = f"cannot write {file}: another option writes to it as well"
    assert (done.returncode, done.stderr) == (125, f"chainbench-agent run: {why}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_opened_before_its_time(agent: RunAgent) -> None:
    done = in_shell(agent, "measured --json >(cat) -- true 2>/dev/null | head -n 1")
    assert done.stdout == "{\n"


def test_hostile_arguments_are_only_text(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    done = run(agent, ["true", "\x1b[31m", "\udcff", "ü\n"], "--json", file)
    assert "\x1b" not in done.stderr
    assert json.loads(file.read_text())["command"]["arguments"] == [
        "true",
        "\x1b[31m",
        "\\xff",
        "ü\n",
    ]
