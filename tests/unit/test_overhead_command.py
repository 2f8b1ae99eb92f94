import io
import itertools
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.overhead import FakeAgent, FakeWorkload, WillingAgent, World

from agent.overhead.command import run_overhead, section_runs
from agent.overhead.interleave import Step
from agent.overhead.progress import ProgressLine
from agent.overhead.protocols import WorkloadFailed
from agent.overhead.results import Result
from agent.overhead.rounds import Progress
from agent.overhead.workloads import Command, PingPong
from agent.sections.probes import SECTIONS
from agent.terminal.values import time_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


PROGRESS = Progress("pipe", Step(0, "runqlat"), 3, 8, 12.4)


def test_progress_rewrites_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    line = ProgressLine(terminal)
    line(PROGRESS)
    assert terminal.getvalue() == "\r\x1b[Kpipe: 3/8, 12 s left: runqlat"
    line.end()
    line.end()
    assert terminal.getvalue().endswith("runqlat\n")


def test_a_progress_line_that_would_wrap_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    ProgressLine(terminal)(PROGRESS)
    assert terminal.getvalue() == "\r\x1b[Kpipe: 3/8, 12 s le~"


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO, "xterm"), (Terminal, "dumb")])
def test_elsewhere_progress_is_a_line_now_and_then(
    stream: Callable[[], io.StringIO], term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    now = 0.0
    out = stream()
    line = ProgressLine(out, lambda: now)
    for done in range(101):
        line(Progress("pipe", Step(0, None), done, 100, 300.0 - 3 * done))
        now += 3
    line.end()
    said = out.getvalue().splitlines()
    assert said[0] == "pipe: 0/100, 5 min 0 s left: bare"
    assert said[-1] == "pipe: 100/100, 0 s left: bare"
    assert len(said) == pytest.approx(300 / 12, abs=2), "one every ten seconds, of three each"
    assert "\x1b" not in out.getvalue()


def test_the_first_progress_has_no_time_left_yet() -> None:
    out = io.StringIO()
    ProgressLine(out)(Progress("command", None, 0, 8, None))
    assert out.getvalue() == "command: 0/8: starting\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_each_section_is_measured_alone_and_together() -> None:
    names = [run.name for run in section_runs(FakeAgent({}))]
    assert names == ["nothing", *SECTIONS, "all"]


def test_without_an_agent_it_says_why_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    out, progress = io.StringIO(), io.StringIO()
    assert run_overhead(None, rounds=1, out=out, progress=progress) == 1
    assert "/nonexistent/python" in progress.getvalue()
    assert out.getvalue() == ""


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Measure a workload of ten pretended seconds with a willing agent; ``at`` raises there."""

    @contextmanager
    def agent(_arguments: object) -> Iterator[WillingAgent]:
        yield WillingAgent()

    monkeypatch.setattr("agent.overhead.command.running_agent", agent)

    def run(at: int = 0, raising: BaseException | None = None, **options: object) -> object:
        done = 0

        def noise() -> float:
            nonlocal done
            done += 1
            if done == at and raising:
                raise raising
            return 1.0

        workload = FakeWorkload(World(), noise=noise)
        monkeypatch.setattr("agent.overhead.command.PingPong", lambda: workload)
        out, progress = io.StringIO(), io.StringIO()
        status = run_overhead(None, out=out, progress=progress, **options)  # type: ignore[arg-type]
        return status, out.getvalue(), progress.getvalue()

    return run  # type: ignore[return-value]


def test_a_run_that_fails_late_leaves_the_table_and_is_named(
    overhead: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    status, out, said = overhead(
        at=60, raising=WorkloadFailed("out of luck"), rounds=6, json_file=file
    )
    assert status == 1
    [why] = [line for line in said.splitlines() if "out of luck" in line]
    assert re.match(r"chainbench-agent overhead: run 60 of \d+ \(round 3, ", why)
    assert why.endswith(" failed: out of luck; measured so far:")
    assert "all five sections" in out
    assert "ended early: run 60 of " in out
    saved = Result.from_json(json.loads(file.read_text()))
    assert saved.workloads[0].ended in why
    assert saved.workloads[0].measured


def test_ctrl_c_leaves_the_table(overhead: Callable[..., tuple[int, str, str]]) -> None:
    status, out, said = overhead(at=60, raising=KeyboardInterrupt(), rounds=6)
    assert status == 128 + signal.SIGINT
    assert said.endswith("chainbench-agent overhead: interrupted; measured so far:\n")
    assert "all five sections" in out


def test_a_first_run_that_fails_leaves_no_table(
    overhead: Callable[..., tuple[int, str, str]],
) -> None:
    status, out, said = overhead(at=1, raising=WorkloadFailed("out of luck"), rounds=6)
    assert (status, out) == (1, "")
    assert re.search(r"run 1 of \d+ \(the warm-up, bare\) failed: out of luck; nothing has", said)


def test_a_result_outlives_the_screen(
    overhead: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    status, out, _ = overhead(rounds=6, json_file=file)
    assert status == 0
    saved = Result.from_json(json.loads(file.read_text()))
    [workload] = saved.workloads
    assert workload.ended == ""
    assert [len(measured.pairs) for measured in workload.measured] == [6] * (len(SECTIONS) + 2)
    assert f"{saved.started}, " in out


@pytest.mark.parametrize(
    ("file", "why"),
    [("no/such/result.json", "No such file"), (".", "Is a directory"), ("x/y", "Not a directory")],
)
def test_a_file_that_cannot_be_written_is_reported_before_anything_is_measured(
    overhead: Callable[..., tuple[int, str, str]], tmp_path: Path, file: str, why: str
) -> None:
    (tmp_path / "x").touch()
    status, out, said = overhead(rounds=1, json_file=tmp_path / file)
    assert (status, out) == (1, "")
    assert said.startswith(f"chainbench-agent overhead: cannot write {tmp_path / file}: {why}")
    assert said.count("\n") == 1


def test_nothing_is_written_to_a_file_before_there_is_a_result(
    overhead: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("old")
    for file in (old, new):
        with pytest.raises(ZeroDivisionError):
            overhead(at=3, raising=ZeroDivisionError(), rounds=1, json_file=file)
    assert old.read_text() == "old"
    assert not new.exists()


def test_a_result_that_cannot_be_saved_is_printed_and_no_success(
    overhead: Callable[..., tuple[int, str, str]],
) -> None:
    status, out, said = overhead(rounds=6, json_file=Path("/dev/full"))
    assert status == 1
    assert "cannot write /dev/full: No space left on device\n" in said
    assert "all five sections" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["true | cat /nonexistent"], "true | cat /nonexistent"),
        (["ls", "/nonexistent", "|", "wc", "-l"], "ls /nonexistent | wc -l"),
        (["ls", "/nonexistent", "2>&1"], "ls /nonexistent 2>&1"),
        (["X=1", "true"], "X=1 true"),
    ],
)
def test_what_only_a_shell_understands_gets_a_hint(arguments: list[str], line: str) -> None:
    with pytest.raises(WorkloadFailed) as raised:
        Command(arguments).run()
    assert f"to have one: -- sh -c {shlex.quote(line)})" in str(raised.value)


@pytest.mark.parametrize("arguments", [["/nonexistent"], ["sh", "-c", "true | false"]])
def test_other_failures_get_no_hint(arguments: list[str]) -> None:
    with pytest.raises(WorkloadFailed) as raised:
        Command(arguments).run()
    assert "shell" not in str(raised.value)


def test_a_command_that_starts_a_daemon_is_timed_until_it_ends_itself(tmp_path: Path) -> None:
    """The daemon keeps all streams of the command open."""
    pid = tmp_path / "pid"
    daemon = f"sleep 600 & echo $! >{pid}"
    try:
        assert Command(["sh", "-c", daemon]).run() > 0
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_short_command_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=0.1)
    pretended = SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr("agent.overhead.workloads.time", pretended)
    count = tmp_path / "count"
    command = Command(["sh", "-c", f"echo >> {count}"])
    with command.prepared():
        assert count.read_text() == "\n"
        assert command.run() == pytest.approx(0.1)
    assert count.read_text() == "\n" * (1 + 3), "three tenths are the shortest run"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["/nonexistent"], "No such file"),
        (["sh", "-c", "echo out of luck >&2; exit 4"], "exited with status 4: out of luck$"),
        (["sh", "-c", "kill -KILL $$"], "^sh was killed by SIGKILL$"),
    ],
)
def test_a_command_that_fails_is_no_measurement(arguments: list[str], why: str) -> None:
    with pytest.raises(WorkloadFailed, match=why):
        Command(arguments).run()


def test_the_ping_pong_prints_the_seconds_of_a_turn() -> None:
    assert 0 < PingPong(turns=50).run() < 1
