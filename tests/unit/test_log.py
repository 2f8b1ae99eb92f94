"""The log: two lines for each run, as text or JSON, with priorities in the journal."""

import contextlib
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from fakes.collector import FakeCollector
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent import journal, service_output
from agent.cli import main
from agent.model import Labels, Scope, StartRequest
from agent.processes import log, seccomp
from agent.processes.collecting import serve_beside_supervisor
from agent.processes.log import log_to_stderr
from agent.processes.preparing import filter_calls
from agent.recording.recorder import Recorder
from agent.settings import Settings
from agent.streams.shared import privileges
from agent.streams.shared.causes import cannot
from agent.streams.supervisor.supervisor import complain
from agent.words import PRIVATE


@contextlib.contextmanager
def logging_to_a_pipe() -> Iterator[Callable[[], str]]:
    """Have standard error be a pipe, and no other log; yield what returns what was written."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    root = logging.getLogger()

    def written() -> str:
        try:
            return os.read(ours, 1 << 16).decode()
        except BlockingIOError:
            return ""

    with pytest.MonkeyPatch.context() as patch, os.fdopen(theirs, "w", buffering=1) as stderr:
        patch.setattr(sys, "stderr", stderr)
        patch.setattr(root, "handlers", [])
        patch.setattr(root, "level", logging.INFO)
        yield written
    os.close(ours)


LOGGER = logging.getLogger("agent.somewhere")


def test_text_is_one_line_with_its_origin() -> None:
    with logging_to_a_pipe() as written:
        log_to_stderr()
        LOGGER.warning("%d events", 7)
        assert written() == "agent.somewhere: 7 events\n"


def test_json_is_one_object_a_line() -> None:
    with logging_to_a_pipe() as written:
        log_to_stderr("json")
        LOGGER.warning("a\nb", extra={"fields": {"run_id": "r"}})
        try:
            raise ValueError("é")
        except ValueError:
            LOGGER.exception("failed")
        first, second = map(json.loads, written().splitlines())
    assert first.pop("time")[10] == "T"
    expected = {"level": "warning", "logger": "agent.somewhere", "message": "a\nb", "run_id": "r"}
    assert first == expected
    assert second["level"] == "error"
    assert second["exception"].endswith("ValueError: é")


class Unprintable:
    def __str__(self) -> str:
        raise RecursionError


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_that_cannot_be_written_is_told_and_does_no_harm(form: str) -> None:
    with logging_to_a_pipe() as written:
        log_to_stderr(form)
        LOGGER.warning("%d events", "seven")
        LOGGER.warning("b", extra={"fields": {"run": object()} if form == "json" else 7})
        LOGGER.warning("%s was refused", Unprintable())
        first, *_, last = written().splitlines()
    assert "a record that cannot be written (TypeError(" in first
    assert "%d events" in first
    assert "a record that cannot be written (RecursionError(" in last
    assert "%s was refused" in last
    if form == "json":
        assert json.loads(first)["level"] == "warning"


def test_the_journal_gets_the_priority_of_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with logging_to_a_pipe() as written:
        found = os.fstat(sys.stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        log_to_stderr()
        LOGGER.info("a")
        LOGGER.warning("b")
        LOGGER.error("c\nd")
        lines = written().splitlines()
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>", "<3>"]
    assert lines[3] == "<3>d"


def test_what_is_not_the_journal_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")  # inherited: standard error is another file
    with logging_to_a_pipe() as written:
        log_to_stderr()
        LOGGER.error("a")
        assert written() == "agent.somewhere: a\n"
    assert not journal.is_journal(-1)


def test_the_agent_of_a_client_logs_what_goes_wrong_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PRIVATE, "1")
    with logging_to_a_pipe() as written:
        log_to_stderr()
        LOGGER.info("a run has begun")
        LOGGER.warning("a run has no evidence")
        assert written() == "agent.somewhere: a run has no evidence\n"


def test_the_supervisor_complains_with_a_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "is_journal", lambda: True)
    with logging_to_a_pipe() as written:
        complain("a\nb\n")
        assert written() == "<3>a\n<3>b\n"


def test_why_it_does_not_start_is_an_error_of_the_journal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "is_journal", lambda: True)
    assert main(["--port", "0", "--user", "no-such-user"]) == 1
    assert capsys.readouterr().err.startswith("<3>chainbench-agent: --user no-such-user: ")


def test_in_the_serving_process_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "is_journal", lambda: True)
    monkeypatch.setattr(privileges, "name_process", lambda name: None)
    here, _there = socket.socketpair()
    with here, _there:
        settings = Settings(token_file="/nothing")
        assert serve_beside_supervisor(settings, (), here, 1, None, ()) == 1
    assert capsys.readouterr().err.startswith("<3>chainbench-agent: ")
    monkeypatch.setattr(seccomp, "install", lambda: "no such call")
    filter_calls()
    assert capsys.readouterr().err.startswith("<4>chainbench-agent: no seccomp filter")


def test_the_form_is_a_setting(served: list[Settings]) -> None:
    assert main(["--log-format", "json"]) == 0
    assert served == [Settings(log_format="json")]


# --- a reader who does not read


def test_nobody_waits_for_a_reader_and_what_he_has_not_read_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[tuple[bool, float | None]] = []

    def write(fd: int, data: bytes, patience_s: float | None) -> bytes:
        waited.append((threading.current_thread() is threading.main_thread(), patience_s))
        return service_output.written(fd, data, patience_s)

    monkeypatch.setattr(log, "written", write)
    monkeypatch.setattr(log, "PATIENCE_S", PATIENCE_SECONDS)
    with logging_to_a_pipe() as written:
        fill(sys.stderr.fileno())
        handler = log_to_stderr()
        LOGGER.warning("a")
        LOGGER.warning("b")
        said = ""

        def whole() -> bool:
            nonlocal said
            said += written()
            return "b" in said

        eventually(whole)
        handler.flush()
        LOGGER.warning("c")
        assert (said + written()).lstrip(".") == "".join(f"agent.somewhere: {x}\n" for x in "abc")
    assert {patience_s for is_main, patience_s in waited if is_main} == {0}


def test_what_is_too_much_to_wait_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_WAITING", 100)
    monkeypatch.setattr(log, "PATIENCE_S", PATIENCE_SECONDS)
    with logging_to_a_pipe() as written:
        fill(sys.stderr.fileno())
        handler = log_to_stderr()
        LOGGER.warning("first")
        for _ in range(3):
            LOGGER.warning("x" * 100)
        written()
        handler.flush()
        LOGGER.warning("last")
        lines = written().splitlines()
    assert lines == [
        "agent.somewhere: first",
        "agent.processes.log: (log records lost: 3)",
        "agent.somewhere: last",
    ]


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(pipe, b"." * 4096):
            pass
    os.set_blocking(pipe, True)


# --- the lines of a run


async def test_a_run_has_two_lines(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="agent.run")
    started = await recorder.start(StartRequest(Labels(scenario="baseline", impl="c")))
    [begun] = [record for record in caplog.records if record.name == "agent.run"]
    run_id = started["run_id"]
    assert begun.getMessage().startswith(
        f"run {run_id} started (scenario=baseline impl=c): the whole machine; measures runqlat, "
    )
    evidence = await recorder.stop()
    ended = caplog.records[-1]
    assert ended.getMessage().startswith(f"run {run_id} ended: ")
    fields = ended.__dict__["fields"]
    assert fields["verdict"] == evidence["completeness"]["verdict"]
    assert fields["events"] == evidence["overhead"]["events"]
    assert (fields["run_id"], fields["ended_by"], fields["impl"]) == (run_id, "stop", "c")


async def test_a_run_without_evidence_says_so(
    recorder: Recorder, collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="agent.run")

    async def without_btf() -> None:
        raise cannot("no_btf", "gone")

    collector.arming = without_btf
    await recorder.start(StartRequest(Labels()))
    await recorder.stop()
    begun, ended = [r.getMessage() for r in caplog.records if r.name == "agent.run"]
    assert begun.endswith("started: the whole machine; measures nothing")
    assert "ended: invalid after " in ended
    assert "events" not in ended


async def test_no_scope_can_forge_a_line(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="agent.run")
    scope = Scope("cgroup", cgroup="/a\nagent.run: forged")
    await recorder.start(StartRequest(Labels(), scope=scope))
    await recorder.stop()
    assert all(r.getMessage().isprintable() for r in caplog.records if r.name == "agent.run")
