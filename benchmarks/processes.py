"""Child processes that are started and stopped on demand, with their output in a file."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agent.overhead.protocols import CannotMeasure

POLL_SECONDS = 0.02
END_SECONDS = 30.0
"""``perf record`` writes its buffered data before it exits."""


class Interruptible:
    """A tool that traces until SIGINT and prints what it saw."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="chainbench-peer-")  # noqa: SIM115 (closed by end)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )

    def wait_until_said(self, pattern: str, seconds: float) -> None:
        """Wait until the output matches. Raises `CannotMeasure` on exit or timeout."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if re.search(pattern, self.output(), re.MULTILINE):
                return
            if self._process.poll() is not None:
                raise CannotMeasure(f"exited during startup: {self.last_line()}")
            time.sleep(POLL_SECONDS)
        raise CannotMeasure(f"not ready within {seconds:.0f} s: {self.last_line()}")

    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def last_line(self) -> str:
        lines = [line for line in self.output().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no output"

    def end(self) -> str:
        """Interrupt the tool, wait for it, and return all of its output."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        output = self.output()
        self._log.close()
        return output


class Conversation:
    """A child that answers each line of input with one line of output."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._complaints = tempfile.NamedTemporaryFile(prefix="chainbench-probe-")  # noqa: SIM115 (closed by end)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env={**os.environ, **environment},
        )

    def say(self, line: str) -> str:
        """Send a line and return the answer. Raises `CannotMeasure` if the child has exited."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise CannotMeasure(self._last_words()) from error
        return self.listen()

    def listen(self) -> str:
        """Return the next line of output. Raises `CannotMeasure` if the child has exited."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise CannotMeasure(self._last_words())
        return answer.strip()

    def end(self) -> None:
        """Close the child's standard input, which makes it exit, and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._complaints.close()

    def _last_words(self) -> str:
        lines = Path(self._complaints.name).read_text(errors="replace").split("\n")
        return "; ".join([line.strip() for line in lines if line.strip()][-2:]) or "it exited"
