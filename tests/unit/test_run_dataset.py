"""``run --dataset-file``: the label is the SHA-256 of the file."""

import hashlib
import io
import itertools
import json
import os
from pathlib import Path

import pytest
from fakes.run_agent import RunAgent
from fakes.run_command import finished, line
from fakes.terminals import CTRL_C, on_terminal

from agent.run import dataset

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def test_the_dataset_of_a_file(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"x" * 100_000)
    expected = hashlib.sha256(b"x" * 100_000).hexdigest()
    done = finished(line("run", "--agent", agent.url, "--dataset-file", file, "--", "true"))
    assert done.returncode == 0, done.stderr
    [start] = [request for request in agent.requests if request.route == "POST /start"]
    assert json.loads(start.body)["dataset"] == expected


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file(agent: RunAgent, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    done = finished(line("run", "--agent", agent.url, "--dataset-file", path, "--", "true"))
    assert done.returncode == 2
    assert "argument --dataset-file: " in done.stderr
    assert agent.routes == []


class Screen(io.StringIO):
    """A terminal, if it is one."""

    def __init__(self, is_terminal: bool = True) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize("each_s", [0.1, 1.0])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_large_file_says_on_a_terminal_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each_s: float, is_terminal: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    file = Path("data\x1b[31m")
    file.write_bytes(b"x" * 4 * dataset.BLOCK)
    screen, clock = Screen(is_terminal), itertools.count(0, each_s)
    found = dataset.sha256_of(str(file), screen, lambda: next(clock))
    assert found == hashlib.sha256(file.read_bytes()).hexdigest()
    said = screen.getvalue().split("\r\x1b[K")
    if each_s < 1 or not is_terminal:
        assert said == [""]
        return
    assert [line.partition(" of ")[0] for line in said[1:-1]] == [
        f"reading the data set: {percent} %" for percent in (50, 75, 100)
    ]
    assert "4 MiB" in said[1]
    assert "data\\x1b[31m" in said[1]
    assert said[-1] == "", "the line is gone at the end"


@pytest.mark.thorough
def test_reading_a_huge_file_can_be_given_up(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "data"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    command = line("run", "--agent", agent.url, "--dataset-file", file, "--", "true")
    with on_terminal(command) as terminal:
        terminal.wait_for("reading the data set: ")
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert "% of 1 TiB" in shown
    assert shown.endswith("\r\x1b[Kchainbench-agent: interrupted\n")
    assert agent.routes == []


def test_it_is_one_or_the_other(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.touch()
    both = ["--dataset-file", file, "--dataset", "x"]
    done = finished(line("run", "--agent", agent.url, *both, "--", "true"))
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
