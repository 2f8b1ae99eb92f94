"""Small programs that do one thing on command: the workloads for tests with the real kernel.

A program (tests/kernel/programs) describes itself in a line of JSON. It then waits for a line,
does its work and reports the result, and so on until the end of its standard input. It waits in
``select``, so that no other wait is counted under the reason of a call in which its work blocks.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fakes.lines import LineReader
from fakes.waiting import PATIENCE_SECONDS

from agent.words import Json

PROGRAMS = Path(__file__).parents[1] / "kernel" / "programs"


class Program:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._lines = LineReader(process.stdout.fileno())
        self.pid = process.pid
        self.ready = self.hear()
        """The program's description of itself: its first line."""

    def hear(self) -> Json:
        """Return the program's next line."""
        facts = json.loads(self._lines.read(PATIENCE_SECONDS))
        assert isinstance(facts, dict)
        return facts

    def tell(self, line: str = "go") -> None:
        self._stdin.write(line.encode() + b"\n")
        self._stdin.flush()

    def work(self, line: str = "go") -> Json:
        """Have the program do its work, and return its report."""
        self.tell(line)
        return self.hear()

    def kill(self) -> None:
        """Kill the program in the middle of its work."""
        self._process.kill()

    def ended(self) -> None:
        """Wait for the program to end by itself."""
        self._process.wait(PATIENCE_SECONDS)

    @property
    def scope(self) -> Json:
        """The ``scope`` of a run that covers only this program and its children."""
        return {"pid": self.pid}


@contextlib.contextmanager
def program(name: str, *arguments: object, before: Sequence[str] = ()) -> Iterator[Program]:
    """Run ``programs/NAME.py``; on leaving, close its standard input, which ends it.

    ``before``: a command that runs it, given as a prefix.
    """
    # -E and -S skip parts of the interpreter's startup that these programs do not need.
    command = [*before, sys.executable, "-ES", str(PROGRAMS / f"{name}.py"), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def true_as(folder: Path, name: bytes) -> str:
    """Return the path of a symlink to ``true`` with the given name, which may be any bytes."""
    command = shutil.which("true")
    assert command is not None
    path = os.path.join(os.fsencode(folder), name)
    os.symlink(os.path.realpath(command), path)
    return os.fsdecode(path)
