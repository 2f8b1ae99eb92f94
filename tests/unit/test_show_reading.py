"""What `show` takes for evidence, and what it says of anything else."""

import contextlib
import json
import os
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
from fakes.collector import FakeCollector
from fakes.sample_evidence import evidence
from fakes.waiting import PATIENCE_SECONDS
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.series import SeriesStore
from agent.errors import AgentError, RunInProgress
from agent.http.responses import encode, error_body
from agent.recording.recorder import Recorder
from agent.show import reading
from agent.show.reading import NotEvidence, evidence_at, evidence_in
from agent.terminal import output, waiting


def refusal(data: bytes) -> str:
    with pytest.raises(NotEvidence) as refused:
        evidence_in(data)
    return str(refused.value)


@pytest.mark.parametrize(
    "whole",
    [
        evidence(),
        {"available": False, "reason": "no capability"},
        {"available": True, "unavailable": {"offcpu": "refused"}},
        {"runqlat": {"histogram": [], "p95_us": None}},
        {"exec": {"exec_count": 1}, "unknown": 1},
    ],
)
def test_evidence_of_any_version_is_taken(whole: dict[str, object]) -> None:
    assert evidence_in(json.dumps(whole).encode()) == whole


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 10)
    monkeypatch.setattr(reading, "LARGEST", 1 << 20)


@pytest.mark.usefixtures("little_room")
def test_a_file_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    with pytest.raises(NotEvidence, match="it has more than 1 MiB, which no evidence has"):
        evidence_at("/dev/zero")
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(evidence()))
    assert evidence_at(str(file)) == evidence()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Queue[str]:
    """Return what is said of waits, at once."""
    lines: Queue[str] = Queue()
    monkeypatch.setattr(waiting, "SILENT_S", 0)
    monkeypatch.setattr(output, "complain", lines.put)
    return lines


def test_a_wait_for_whoever_writes_to_a_pipe_is_no_silent_one(
    tmp_path: Path, said: Queue[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write_then() -> None:
        lines.append(said.get(timeout=PATIENCE_SECONDS))
        pipe.write_text(json.dumps(evidence()))

    lines: list[str] = []
    writer = Thread(target=write_then)
    writer.start()
    assert evidence_at(str(pipe)) == evidence()
    writer.join()
    assert lines == [f"waiting for somebody to write to {pipe}\n"]


@pytest.mark.usefixtures("little_room")
def test_nothing_is_said_of_a_file(tmp_path: Path, said: Queue[str]) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(evidence()))
    evidence_at(str(file))
    with pytest.raises(FileNotFoundError):
        evidence_at(str(tmp_path / "none"))
    assert said.empty()


def test_what_does_not_fit_into_the_memory_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: bytes) -> object:
        raise MemoryError

    monkeypatch.setattr(reading, "evidence_in", full)
    with pytest.raises(NotEvidence, match="not enough memory"):
        evidence_at("/dev/null")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_shells_write(encoding: str) -> None:
    text = json.dumps(evidence(machine="späß"), ensure_ascii=False)
    assert evidence_in(text.encode(encoding)) == evidence(machine="späß")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{}", "it is an empty object"),
        (b"[]", "it is JSON, but not one object"),
        (b"null", "it is JSON, but not one object"),
        (b"5", "it is JSON, but not one object"),
        (b"evidence", "it is not JSON at line 1, column 1: 'evidence'"),
        (b'{"available": tr', "it is not JSON at line 1, column 15: 'tr'"),
        (b'{"available": true,', "it ends early, at line 1, column 20"),
        (b"\xff\x00\x80", "it is not UTF-8 at byte 0 (0xff)"),
        (b"\x1f\x8b\x08\x00", "it is compressed"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "it begins with HTTP headers"),
        (b"<!doctype html><title>502", "it is HTML or XML"),
        (b"# HELP chainbench_runs_total", "it is a page of /metrics"),
        (b'{"status": "started", "available": true}', "it is the answer to POST /start"),
        (b'{"status": "metrics_reported"}', "it is the answer to POST /report"),
        (b'{"available": true}', "it is no evidence: it lacks any section, run_id"),
        (b'{"exec": null, "unknown": 1}', "it is no evidence: it lacks any section, available"),
        (b'{"available": false}', "it says that nothing was measured, but lacks the reason"),
        (b'{"series": {}, "runs": [{"evidence": {"available": true}}]}', "it is no evidence"),
        (
            b'{"available": true, "offcpu": {"total_ms": NaN}}',
            "it is not JSON: offcpu.total_ms is no finite number",
        ),
        (
            b'{"runs": [{}, {"a": [[1, -Infinity]]}]}',
            "it is not JSON: runs[1].a[0][1] is no",
        ),
        (
            b'{"duration_s": 1e999}',
            "it has a number that is too large: duration_s is 1e999, and the most is 1.8e308",
        ),
        (
            b'{"runs": [{"n": -' + b"9" * 5000 + b"}]}",
            "it has a number that is too large: runs[0].n is -9999999999999999999…, and",
        ),
        (b'{"a": 1, "b": 2}', "it has neither available nor a section, as evidence has, but a, b"),
    ],
)
def test_anything_else_is_named(data: bytes, what: str) -> None:
    assert refusal(data).startswith(what)


def test_an_error_saved_by_curl_is_repeated() -> None:
    for error in (
        RunInProgress("r-1", "2026-03-01T10:11:12.000+00:00"),
        AgentError("no run has ended yet", code="no_such_run"),
    ):
        told = refusal(encode(error_body(error)))
        assert told.startswith("it is an error")
        assert error.code in told
        assert error.message in told


async def test_a_real_status_is_recognized() -> None:
    status = Recorder(FakeCollector(), "box", SeriesStore()).status()
    assert refusal(encode(status)).startswith("it is the answer to GET /status")


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_refused_or_taken(data: bytes) -> None:
    with contextlib.suppress(NotEvidence):
        assert isinstance(evidence_in(data), dict)
