"""Programs of which one takes longer by one known thing, and what they meet. No agent is run."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import cause_pairs
from benchmarks.cause_pairs import FEW, LEAST, LONGER_MS, MOST, one_cause
from benchmarks.cause_surroundings import answering, continuing

PATIENCE_S = 60


def done(*words: object) -> int:
    return subprocess.run(one_cause(*words), timeout=PATIENCE_S, check=False).returncode


@pytest.mark.parametrize(
    "words",
    [
        ("compute", 1),
        ("at_once", 1, 1),
        ("at_once", 2, 1),
        ("sleep", 1),
        ("lock", 1, 2),
        ("lock", 2, 2),
        ("touch", 3),
    ],
)
def test_programs_that_need_nothing(words: tuple[object, ...]) -> None:
    assert done(*words) == 0


@pytest.mark.parametrize("way", ["yes", "no"])
def test_programs_that_read_and_sync_a_file(way: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert done("sync", 2, file) == 0
    assert done("read_mapped", 1, file, way) == 0


@pytest.mark.parametrize("call", ["recv", "poll"])
def test_it_is_answered(call: str) -> None:
    with answering() as socket:
        assert done("ask", 1, socket, call) == 0
        assert done("ask", 1, socket, call) == 0


def test_it_is_stopped_and_continued() -> None:
    with continuing() as socket, subprocess.Popen(one_cause("stop", 20, socket)) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("each_ms", "found"), [(0.02, LONGER_MS / 0.02), (5.0, LEAST), (0.0, MOST), (0.4, 100)]
)
def test_as_many_operations_as_last_as_long_as_wanted(
    each_ms: float, found: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_ms = 12.0
    monkeypatch.setattr(
        cause_pairs, "_quickest_ms", lambda _, operations: start_ms + operations * each_ms
    )
    assert cause_pairs._lasting("touch") == pytest.approx(found, rel=FEW / LEAST + 0.05)
