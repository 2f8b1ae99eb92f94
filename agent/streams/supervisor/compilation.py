"""Run the compiler process and read its answer. Privileged side.

Whatever happens to that process, the supervisor ends up with either programs or a cause.
"""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from agent.exit_status import signal_name
from agent.parent_death import end_with_parent
from agent.streams.shared import bpf, channel, control_groups, limits
from agent.streams.shared.build_messages import AWAITED_EXECS, BuildAnswer, BuildRequest
from agent.streams.shared.causes import CURES, CannotCollect, cannot
from agent.streams.shared.channel import Failure, Malformed, Reply
from agent.words import COMPILE_DEADLINE_S

COMPILER = Path(__file__).parents[1] / "compiler" / "compiler.py"
LOG_BYTES = 16 * 1024
"""Bytes read from the end of the log, so that the answer to the agent still fits in a message."""

KILLED = "killed by SIGKILL"
NO_SUCH_MODULE = "No module named 'bcc'"

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""Of an interpreter that has bcc."""

SAY_IF_OLD = (
    "import sys\n"
    "if sys.version_info < (3, 9):\n"
    "    sys.stdout.write('Python %d.%d' % sys.version_info[:2])\n"
    "    sys.stdout.flush()\n"
    "    import bcc"
)
"""A program for any Python 3. On an old one it fails without bcc."""
OLD = re.compile(r"Python \d+\.\d+")
ANSWERS_WITHIN_S = 10.0

DISTRIBUTION_PYTHON = "/usr/bin/python3"
"""The interpreter for which Debian, Ubuntu and Fedora install bcc's Python package."""


class Abandoned(Exception):
    """The agent went away during a compilation."""


@dataclass(frozen=True)
class Built:
    """Programs that are loaded but not attached, and the sections that could not be built."""

    programs: tuple[tuple[str, str, int], ...]
    """(name, hook, fd)"""
    unavailable: dict[str, str]
    bcc: str
    awaited_fd: int | None = None
    """The map of awaited execs. With it, failed execs are known even if not requested."""
    newer_refused: str = ""
    """Why no newer kernel features are used although this kernel has some; otherwise empty."""

    def kernel_bytes(self) -> int:
        """Return the kernel memory in bytes of the map that only these programs use."""
        return bpf.map_bytes(self.awaited_fd) if self.awaited_fd is not None else 0

    def close(self) -> None:
        for _, _, fd in self.programs:
            os.close(fd)
        if self.awaited_fd is not None:
            os.close(self.awaited_fd)


def interpreters() -> list[str]:
    """Return the interpreters that may have bcc, most likely first."""
    candidates = (DISTRIBUTION_PYTHON, sys.executable)
    found = [path for path in candidates if os.access(path, os.X_OK)]
    return list(dict.fromkeys(found))


def too_old(interpreter: str, within_s: float = ANSWERS_WITHIN_S) -> CannotCollect | None:
    """Return the cause if an interpreter is too old for the compiler; None if it does not say so.

    If it has no bcc either, that is the cause. This costs a start of the interpreter, so ask only
    of one that failed as compiler, or that has bcc.
    """
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", SAY_IF_OLD],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=max(0.0, min(within_s, ANSWERS_WITHIN_S)),
            env=ENVIRONMENT,
            preexec_fn=partial(end_with_parent, os.getpid(), signal.SIGKILL),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = OLD.search(done.stdout)
    if found is None:
        return None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return cannot("no_bcc", f"{interpreter}, which is {found[0]}: {said}")
    return CannotCollect(
        f"{interpreter} is {found[0]}, and the agent compiles its probes with Python 3.9 or later:"
        " it needs a later one that has bcc, as newer releases of the distributions have.",
        code="no_bcc",
    )


def most_telling(causes: Sequence[CannotCollect]) -> CannotCollect:
    """Return why no interpreter can compile, given why each cannot.

    One that has bcc but cannot use it says more than one that has none.
    """
    telling = [cause for cause in causes if NO_SUCH_MODULE not in str(cause)]
    return next(iter([*telling, *causes]), cannot("no_bcc", "no interpreter found"))


class Compiler:
    """Starter of one process per compilation; ``pid`` is set while the process is running."""

    def __init__(self, agent: socket.socket, deadline_s: float = COMPILE_DEADLINE_S) -> None:
        self._agent = agent
        self._deadline_s = deadline_s
        self.pid: int | None = None

    def build(self, request: BuildRequest, map_fds: list[int]) -> Built:
        """Compile and load. Raises CannotCollect, or Abandoned if the agent is gone.

        ``map_fds``: inherited by the process, since the constants refer to them by number.
        """
        causes: list[CannotCollect] = []
        for interpreter in interpreters():
            try:
                return self._run(interpreter, request, map_fds)
            except CannotCollect as error:
                if error.code != "no_bcc":
                    raise
                causes.append(error)
        raise most_telling(causes)

    def _run(self, interpreter: str, request: BuildRequest, map_fds: list[int]) -> Built:
        kills = control_groups.oom_kills()
        deadline = time.monotonic() + self._deadline_s
        with self._process(interpreter, map_fds) as (process, compiler, log):
            packet, fds = b"", list[int]()
            # it may exit before it has read the request, or before it has sent all of its answer
            with contextlib.suppress(ConnectionError):
                compiler.send(channel.encode(request))
                if not self._answered(compiler, deadline):
                    raise cannot("compiler_timeout", f"{self._deadline_s:g} s{_tail(log)}")
                packet, fds = channel.receive(compiler)
            if not packet:
                how = _how_it_ended(process)
                if how == KILLED and control_groups.oom_kills() > kills:
                    raise _killed_for_memory()
                left = deadline - time.monotonic()
                raise too_old(interpreter, left) or _crashed(how, _tail(log))
            return _built(packet, fds, log)

    @contextlib.contextmanager
    def _process(
        self, interpreter: str, map_fds: list[int]
    ) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, IO[bytes]]]:
        ours, theirs = channel.pair()
        with ours, _log() as log:
            with theirs:
                process = _start(interpreter, theirs, map_fds, log)
            self.pid = process.pid
            try:
                yield process, ours, log
            finally:
                self.pid = None
                process.kill()
                process.wait()

    def _answered(self, compiler: socket.socket, deadline: float) -> bool:
        """Wait for an answer or the end of the process; return False once the time is up."""
        poller = select.poll()
        poller.register(compiler, select.POLLIN)
        # only for a hangup: a request that arrives now waits its turn
        poller.register(self._agent, 0)
        while (left := deadline - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                if fd == compiler.fileno():
                    return True
                raise Abandoned
        return False


def _log() -> IO[bytes]:
    """Return a file for the compiler's output, of any length and even if the disk is full."""
    return os.fdopen(os.memfd_create("cba-compiler-log"), "w+b")


def _start(
    interpreter: str, supervisor: socket.socket, map_fds: list[int], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [interpreter, "-I", str(COMPILER), str(supervisor.fileno())],
            pass_fds=[supervisor.fileno(), *map_fds],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            preexec_fn=partial(_before_exec, os.getpid()),
        )
    except OSError as error:
        limit = limits.no_process(f"starting {interpreter}", error.errno)
        raise limit or _not_started(interpreter, error) from error
    except subprocess.SubprocessError as error:
        raise _not_started(interpreter, error) from error


def _not_started(interpreter: str, error: Exception) -> CannotCollect:
    return cannot("compiler_crashed", f"{interpreter} cannot be started: {error}")


def _before_exec(supervisor: int) -> None:
    # It holds programs until it hands them over, and must not outlive us while it does.
    end_with_parent(supervisor, signal.SIGKILL)
    # Where memory is short, it is what the OOM killer shall take: the next start compiles again,
    # while the agent's other processes hold the evidence (Documentation/filesystems/proc.rst, 3.1).
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    # A signal to all of the agent's processes must not look like a compiler that crashed. It ends
    # with the agent; what reports a fault of its own cannot be blocked (force_sig()).
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(1)
    except subprocess.TimeoutExpired:
        return "it closed its channel and kept running"
    if code < 0:
        return f"killed by {signal_name(-code)}"
    return f"exit status {code}"


def _killed_for_memory() -> CannotCollect:
    what = "the kernel's OOM killer ended the compiler process, which takes 100 MiB for a moment"
    return cannot("out_of_memory", f"{what}. {limits.memory()}")


def _crashed(how: str, last_words: str) -> CannotCollect:
    """Return the cause for a process without an answer: the limit that it met, if it says so."""
    limit = limits.reached(f"the compiler process ({how})", limits.reached_in(last_words))
    return limit or cannot("compiler_crashed", how + last_words)


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES))
    lines = log.read().decode(errors="replace").strip().splitlines()[-bpf.LOG_LINES :]
    return ": " + "\n".join(lines) if lines else ""


def _built(packet: bytes, fds: list[int], log: IO[bytes]) -> Built:
    try:
        reply = channel.decode_answer(BuildAnswer, packet, fds)
        if isinstance(reply, Failure):
            raise _cause(reply)
        return _with_programs(reply)
    except Malformed as error:
        raise cannot("compiler_crashed", f"malformed answer: {error}{_tail(log)}") from error


def _with_programs(reply: Reply[BuildAnswer]) -> Built:
    answer, fds = reply.answer, dict(reply.fds)
    awaited_fd = fds.pop(AWAITED_EXECS, None)
    if sorted(fds) != sorted(program.hook for program in answer.programs):
        channel.close_all(reply.fds.values())
        raise Malformed(f"file descriptors that do not match the programs: {', '.join(fds)}")
    return Built(
        tuple((program.name, program.hook, fds[program.hook]) for program in answer.programs),
        answer.unavailable,
        answer.bcc,
        awaited_fd,
        answer.newer_refused,
    )


def _cause(failure: Failure) -> CannotCollect:
    """Return the cause that the compiler has found, with its cure."""
    if failure.code in CURES:
        return CannotCollect(failure.message, code=failure.code)
    return cannot("compiler_crashed", failure.message)
