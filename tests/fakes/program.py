"""Small programs that do one thing when told to: the workloads of tests of the real kernel.

A program (tests/kernel/programs) says what it is in a line of JSON, waits for a line, works,
says how it went, and so on until its standard input ends. While it waits it is in ``select``,
so that what it blocks in while it works stands alone under its own reason.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fakes.lines import LineReader

from agent.model import Json

PROGRAMS = Path(__file__).parents[1] / "kernel" / "programs"
ANSWER_SECONDS = 120.0
ENDING_SECONDS = 20.0


class Program:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._lines = LineReader(process.stdout.fileno())
        self.pid = process.pid
        self.ready = self.hear()
        """What it said of itself at first."""

    def hear(self) -> Json:
        """Its next line."""
        facts = json.loads(self._lines.read(ANSWER_SECONDS))
        assert isinstance(facts, dict)
        return facts

    def tell(self, line: str = "go") -> None:
        self._stdin.write(line.encode() + b"\n")
        self._stdin.flush()

    def work(self, line: str = "go") -> Json:
        """Have it do its work, and return how that went."""
        self.tell(line)
        return self.hear()

    @property
    def scope(self) -> Json:
        """The ``scope`` of a run that is about this program and its children alone."""
        return {"pid": self.pid}


@contextlib.contextmanager
def program(name: str, *arguments: object) -> Iterator[Program]:
    """Runs ``programs/NAME.py`` until left; it ends at the end of its standard input."""
    # -E and -S spare the start-up what these programs do not need.
    command = [sys.executable, "-ES", str(PROGRAMS / f"{name}.py"), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def true_as(folder: Path, name: bytes) -> str:
    """Path of the command ``true`` under a name of one's own, of any bytes."""
    command = shutil.which("true")
    assert command is not None
    path = os.path.join(os.fsencode(folder), name)
    os.symlink(os.path.realpath(command), path)
    return os.fsdecode(path)
