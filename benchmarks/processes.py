"""Child processes that are started and stopped on demand, with their output in a file."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from agent.overhead.protocols import CannotMeasure
from agent.parent_death import end_with_parent
from benchmarks import procfs

POLL_SECONDS = 0.02
END_SECONDS = 30.0
"""``perf record`` writes its buffered data before it exits."""


NAMESPACES = (
    *("unshare", "--mount", "--propagation", "private"),
    *("--pid", "--fork", "--kill-child"),
)


class Interruptible:
    """A tool that traces until SIGINT and prints what it saw. Needs root.

    The tool is the first process of a PID namespace: the kernel kills whatever it has started when
    it ends, even in another session (pid_namespaces(7)). It ends with this process, even by
    SIGKILL. It sees the mounts of this process, and its own do not change them.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="chainbench-peer-")  # noqa: SIM115 (closed by end)
        self._process = subprocess.Popen(
            (*NAMESPACES, *command),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=partial(_before_exec, os.getpid()),
        )

    def wait_until(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Return whether it was done in time. Raises `CannotMeasure` if the tool exits first."""
        deadline = time.monotonic() + seconds
        while not is_done():
            if self._process.poll() is not None:
                raise CannotMeasure(f"exited during startup: {self.last_line()}")
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def pids(self) -> list[int]:
        """Return the pids of ``unshare``, of the tool, and of what the tool has started."""
        return procfs.tree(self._process.pid)

    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def last_line(self) -> str:
        lines = [line for line in self.output().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no output"

    def end(self) -> str:
        """Interrupt the tool as Ctrl-C would, wait for it, and return all of its output."""
        try:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGINT)
                self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._kill()
            output = self.output()
            self._log.close()
        return output

    def _kill(self) -> None:
        """Kill the tool if it is still there. ``unshare`` waits for it, and exits after it."""
        if self._process.poll() is None:
            pids = self.pids()
            for pid in pids[1:] or pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _before_exec(parent: int) -> None:
    end_with_parent(parent, signal.SIGKILL)
    # Ignored where the suite runs in the background of a script; Python tools would keep that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
