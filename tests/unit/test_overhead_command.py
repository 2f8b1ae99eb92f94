import io
import sys
from pathlib import Path

import pytest

from agent.overhead.command import ProgressLine, run_overhead, section_runs
from agent.overhead.interleave import Step
from agent.overhead.protocols import WorkloadFailed
from agent.overhead.rounds import Progress
from agent.overhead.workloads import Command, PingPong
from agent.sections.probes import SECTIONS
from tests.fakes.overhead import FakeAgent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_rewrites_one_line_on_a_terminal_only() -> None:
    terminal, file = Terminal(), io.StringIO()
    progress = Progress("pipe", Step(0, "runqlat"), 3, 8, 12.4)
    for stream in (terminal, file):
        ProgressLine(stream)(progress)
    assert terminal.getvalue() == "\r\x1b[Kpipe: 3/8, 12 s left: runqlat"
    assert file.getvalue() == ""


def test_each_section_is_measured_alone_and_together() -> None:
    names = [run.name for run in section_runs(FakeAgent({}))]
    assert names == ["nothing", *SECTIONS, "all"]


def test_without_an_agent_it_says_why_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    out, progress = io.StringIO(), io.StringIO()
    assert run_overhead(None, rounds=1, out=out, progress=progress) == 1
    assert "/nonexistent/python" in progress.getvalue()
    assert out.getvalue() == ""


def test_a_short_command_is_repeated(tmp_path: Path) -> None:
    count = tmp_path / "count"
    command = Command(["sh", "-c", f"echo >> {count}"])
    with command.prepared():
        before = len(count.read_text())
        assert command.run() > 0
    assert len(count.read_text()) - before > 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["/nonexistent"], "No such file"),
        (["sh", "-c", "echo out of luck >&2; exit 4"], "exited with status 4: out of luck"),
    ],
)
def test_a_command_that_fails_is_no_measurement(arguments: list[str], why: str) -> None:
    with pytest.raises(WorkloadFailed, match=why):
        Command(arguments).run()


def test_the_pingpong_tells_the_seconds_of_a_turn() -> None:
    assert 0 < PingPong(turns=50).run() < 1
