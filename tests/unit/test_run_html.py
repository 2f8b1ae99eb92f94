"""``chainbench-agent run --html``: a report is written, or refused before anything is run."""

import sys
from pathlib import Path

import pytest
from fakes.reports import single
from fakes.run_agent import RunAgent
from fakes.run_command import environment, finished, line, run

from agent.cli import main

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def test_a_run_is_saved_with_pictures(agent: RunAgent, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    agent.evidence = {**single(), "run_id": "run-1"}
    file = tmp_path / "report.html"
    done = run(agent, ["sh", "-c", "exit 3"], "--quiet", "--html", file)
    assert (done.returncode, done.stderr) == (3, "")
    assert "<title>sh -c &#x27;exit 3&#x27;</title>" in file.read_text()


@pytest.mark.thorough
def test_a_series_is_saved_with_pictures(agent: RunAgent, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    agent.evidence = {**single(), "run_id": "run-1"}
    file = tmp_path / "report.html"
    done = run(agent, ["true"], "--runs", 2, "--html", file)
    assert done.returncode == 0
    assert "How long each run took" in file.read_text()


@pytest.mark.thorough
def test_a_full_disk_is_reported_and_the_status_stays(agent: RunAgent) -> None:
    pytest.importorskip("matplotlib")
    done = run(agent, ["sh", "-c", "exit 3"], "--html", "/dev/full")
    assert done.returncode == 3
    assert "cannot write /dev/full: No space left on device\n" in done.stderr


def test_a_library_that_cannot_be_used_is_reported_and_the_status_stays(
    agent: RunAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    for name in [one for one in sys.modules if one.startswith("agent.report.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    file = tmp_path / "report.html"
    options = ["--agent", agent.url, "--html", str(file), "--system", "--for", "0"]
    assert main(["record", *options]) == 1
    said = capsys.readouterr()
    assert f"cannot draw {file}: " in said.err
    assert "Verdict: " in said.out


@pytest.mark.thorough
def test_a_screen_that_the_library_does_not_know_is_none_of_its_business(
    agent: RunAgent, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "report.html"
    command = line("record", "--agent", agent.url, "--html", file, "--system", "--for", "0")
    done = finished(command, env=environment(MPLBACKEND="nonsense"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "</html>" in file.read_text()


@pytest.mark.parametrize("command", ["run", "record"])
def test_without_the_library_nothing_is_measured(
    agent: RunAgent,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    file, ran = tmp_path / "report.html", tmp_path / "ran"
    what = ["--", "touch", str(ran)] if command == "run" else ["--system"]
    status = main([command, "--agent", agent.url, "--html", str(file), *what])
    assert status == {"run": 125, "record": 1}[command]
    assert "pip install 'matplotlib>=3.9'" in capsys.readouterr().err
    assert agent.requests == []
    assert not ran.exists()
    assert not file.exists()
