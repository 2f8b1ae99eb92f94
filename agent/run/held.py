"""A command that is held before its first instruction, then released and waited for.

A process is held by stopping itself (SIGSTOP) between fork and exec. A stopped process does not
block, so the wait for the agent's answer is in no blocked time of the run. Anybody may continue a
stopped process, so it then reads from a pipe that only we write to. It reads with readv(2), and
reports with writev(2), because evidence counts ``read`` and ``write`` by name, and these counts
shall be the command's own.

What the command took begins with its exec. The last that the fork does before it is to report its
clock and its own usage; and what it leaves is not cleared away meanwhile (`agent.run.old_memory`).

A fork has its parent's memory until its exec, and the kernel keeps the largest resident size across
the exec (``exec_mmap`` in fs/exec.c). The command's own is known only where it is larger.
"""

import contextlib
import errno
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, NoReturn

from agent.exit_status import OWN_FAILURE, how_it_ended
from agent.parent_death import end_with_parent
from agent.run import old_memory, signals
from agent.run.filters import instead
from agent.run.user import User, become

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses as in shells, for a command that cannot be run."""

_EXEC = struct.Struct("=dddqqqqqq")
"""What the fork says last: the monotonic clock, then what it took itself: user and system time,
minor and major page faults, voluntary and involuntary context switches, blocks read and written."""
BLOCK = 512
"""Bytes in a block of getrusage(2) (include/linux/task_io_accounting_ops.h)."""
_NUMBER = struct.Struct("=i")
"""0, or the errno of what failed; or the pid of the process that keeps the fork's memory."""
_BEGIN, _GIVE_UP = b"!", b"."
"""What the gate tells the fork."""
STOPS_WITHIN_S = 1.0
"""From the fork's last report: all that it has to do then is to take its name."""
POLL_S = 0.0002
"""Between two looks at the fork: short, for it delays the beginning of the run."""
GROWTH_UNTIL_EXEC = 1 << 20
"""Bytes that the fork may still grow by, and by which the kernel's count of pages may be off."""
LONGEST_NAME = 15
"""Bytes of a process's name (TASK_COMM_LEN - 1)."""


class CannotRun(Exception):
    """The command cannot be run: why, and the exit status that shells have for that."""

    def __init__(self, command: str, number: int, is_ours: bool = False) -> None:
        """``is_ours``: a call of this process failed, and not one of the child's."""
        super().__init__(f"cannot run {command}: {_why(command, number, is_ours)}")
        self.status = NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE


class CannotHold(CannotRun):
    """The command was not even tried: there was no process, descriptor or the like to hold it."""

    def __init__(self, command: str, number: int, is_ours: bool = False) -> None:
        super().__init__(command, number, is_ours)
        self.status = OWN_FAILURE


class KilledByFilter(CannotRun):
    """A seccomp filter killed what was to become the command, before that."""

    def __init__(self, command: str) -> None:
        Exception.__init__(
            self,
            f"cannot run {command}: the process that was to become it "
            f"{how_it_ended(-signal.SIGSYS)}: it calls clone(2) with CLONE_VM",
        )
        self.status = OWN_FAILURE


class Ended(NamedTuple):
    """How a command ended and what it took, with those of its children that it waited for."""

    status: int
    """The exit status, or minus the number of the signal that killed it."""
    wall_s: float
    """From its exec to its end."""
    user_s: float
    system_s: float
    max_resident: int | None
    """The largest resident size of one process, in bytes; None: no more than `resident_floor`."""
    resident_floor: int
    """The resident size, in bytes, that any command seems to have at least."""
    minor_faults: int
    """Page faults that needed no disk, with those of the exec."""
    major_faults: int
    """Page faults that waited for a disk."""
    voluntary_switches: int | None = None
    """Times that it gave up a CPU, waiting for something."""
    involuntary_switches: int | None = None
    """Times that a CPU was taken from it."""
    read_bytes: int | None = None
    """What had to come from disks."""
    written_bytes: int | None = None
    """What was to go to disks, written back or not."""


class HeldCommand:
    """A child that waits to become the command."""

    def __init__(self, command: str, pid: int, *, gate: int, report: int, lifeline: int) -> None:
        """``gate``, ``report``, ``lifeline``: this process's ends of the pipes to the child."""
        self.pid = pid
        self.forked_at = datetime.now(UTC)
        self.reaped = False
        self.received: list[int] = []
        """Signals that came while it ran, with those of its children."""
        self._command = command
        self._gate = gate
        self._report = report
        self._lifeline = lifeline
        self._keeper = 0
        self._floor = 0

    def hold(self) -> None:
        """Wait until the child has stopped itself. Raises `CannotHold` or `KilledByFilter`.

        Not for ever: it may have been continued since, by timeout(1) for example, and the gate
        holds it as well.
        """
        data = os.read(self._report, _NUMBER.size)
        if (number := _NUMBER.unpack(data)[0] if data else errno.ECHILD) != 0:
            raise CannotHold(self._command, number)
        os.set_blocking(self._report, False)  # from here on the keeper has its other end, too
        while not (data := self._reported(_NUMBER.size)) and not self._is(os.WEXITED):
            time.sleep(POLL_S)
        if not data and self._was_filtered():
            raise KilledByFilter(self._command)
        [self._keeper] = _NUMBER.unpack(data) if data else [0]
        deadline = time.monotonic() + STOPS_WITHIN_S
        while not self._is(os.WSTOPPED | os.WCONTINUED | os.WEXITED):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        self._floor = _resident_peak(self.pid) + GROWTH_UNTIL_EXEC

    def run(self, on_child: Callable[[], None]) -> Ended:
        """Let the command go, and wait for its end. Raises `CannotRun`.

        Meanwhile signals that other processes send to this one are passed on to it. ``on_child`` is
        called when another child of this process has ended.
        """
        came: signal.struct_siginfo | None = None
        with signals.blocked():
            released = time.monotonic()
            with contextlib.suppress(BrokenPipeError):  # it was killed while it was held
                os.write(self._gate, _BEGIN)
            os.kill(self.pid, signal.SIGCONT)
            while True:
                process, status, usage = os.wait4(self.pid, os.WNOHANG)
                ended = time.monotonic()
                self.reaped = process != 0
                if came and came.si_signo == signal.SIGCHLD and signals.has_ended_child():
                    on_child()  # not earlier, since it takes time
                if self.reaped:
                    break
                came = signals.next_one(self.pid)
                self.received.append(came.si_signo)
            self.received += signals.with_the_last(self.received)
        at_exec = self._reported(_EXEC.size)
        if len(at_exec) == _NUMBER.size:  # of what failed before the exec
            raise CannotHold(self._command, *_NUMBER.unpack(at_exec))
        failed = self._reported(_NUMBER.size)
        self._end_keeper()
        if failed:
            raise CannotRun(self._command, *_NUMBER.unpack(failed))
        # without an exec it took nothing, except for the time
        began, *before = _EXEC.unpack(at_exec) if at_exec else (released, *_taken(usage))
        user, system, minor, major, voluntary, involuntary, read, written = (
            max(now - then, 0) for now, then in zip(_taken(usage), before, strict=True)
        )
        peak = usage.ru_maxrss * 1024
        return Ended(
            status=os.waitstatus_to_exitcode(status),
            wall_s=ended - began,
            user_s=user,
            system_s=system,
            max_resident=peak if peak > self._floor else None,
            resident_floor=self._floor,
            minor_faults=int(minor),
            major_faults=int(major),
            voluntary_switches=int(voluntary),
            involuntary_switches=int(involuntary),
            read_bytes=int(read) * BLOCK,
            written_bytes=int(written) * BLOCK,
        )

    def _is(self, state: int) -> bool:
        """Return whether the child has come to one of these states (waitid(2))."""
        return os.waitid(os.P_PID, self.pid, state | os.WNOHANG | os.WNOWAIT) is not None

    def _was_filtered(self) -> bool:
        """Return whether the child has ended by SIGSYS, as by a call that a filter forbids."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        killed = (os.CLD_KILLED, os.CLD_DUMPED)
        return bool(ended and ended.si_code in killed and ended.si_status == signal.SIGSYS)

    def _reported(self, size: int) -> bytes:
        """Return what the child has reported next, of that size; nothing if it has not."""
        try:
            return os.read(self._report, size)
        except BlockingIOError:
            return b""

    def give_up(self) -> None:
        """End the child, if it has not been waited for."""
        if not self.reaped:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except PermissionError:  # another user's, and no CAP_KILL: then it ends by itself
                os.write(self._gate, _GIVE_UP)
                os.kill(self.pid, signal.SIGCONT)  # allowed within a session
            os.waitpid(self.pid, 0)
            self.reaped = True
        self._end_keeper()

    def _end_keeper(self) -> None:
        keeper, self._keeper = self._keeper, 0
        if keeper:
            old_memory.give_back(keeper, self._lifeline)


@contextlib.contextmanager
def held(
    path: str,
    arguments: Sequence[str],
    discarded: Collection[int] = (),
    user: User | None = None,
) -> Iterator[HeldCommand]:
    """Fork a child that will execute ``path``, yield it, and end it on leaving.

    It has this process's environment, directory, streams and terminal, and the signals that this
    one was started with; the descriptors ``discarded`` are /dev/null. It gets SIGTERM when this
    process ends. With ``user`` it is that user's, which only root can do. Raises `CannotRun`.
    """
    parent = os.getpid()
    with contextlib.ExitStack() as stack:
        with _holding(arguments[0]), signals.blocked() as mask, contextlib.ExitStack() as childs:
            gate, opened = os.pipe()
            childs.callback(os.close, gate)
            stack.callback(os.close, opened)
            report, reporting = os.pipe()
            childs.callback(os.close, reporting)
            stack.callback(os.close, report)
            lifeline, living = os.pipe()
            childs.callback(os.close, lifeline)
            stack.callback(os.close, living)
            process = os.fork()
            if process == 0:
                os.close(opened)
                os.close(living)
                pipes = _Pipes(gate=gate, report=reporting, lifeline=lifeline)
                _become(path, arguments, discarded, user, parent, pipes, mask)
            command = HeldCommand(
                arguments[0], process, gate=opened, report=report, lifeline=living
            )
            stack.callback(command.give_up)
            childs.close()
            command.hold()
        yield command


@contextlib.contextmanager
def _holding(command: str) -> Iterator[None]:
    """Raise `CannotHold` for what the system refuses meanwhile."""
    try:
        yield
    except OSError as error:
        raise CannotHold(command, error.errno or errno.EAGAIN, is_ours=True) from error


class _Pipes(NamedTuple):
    """A child's ends of pipes to the process that holds it."""

    gate: int
    report: int
    lifeline: int


def _become(
    path: str,
    arguments: Sequence[str],
    discarded: Collection[int],
    user: User | None,
    parent: int,
    pipes: _Pipes,
    mask: set[int],
) -> NoReturn:
    """In the child: hold, then become the command, as ``user`` if given. Its mask is ``mask``."""
    try:
        signals.reset()
        for stream in discarded:
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        environment = os.environ if user is None else user.environment(os.environ)
        # all that takes time is done before the exec
        variables = {os.fsencode(name): os.fsencode(text) for name, text in environment.items()}
        words = [os.fsencode(word) for word in arguments]
        if user is not None:
            become(user)
        # after that: changing its user takes this signal from a process (commit_creds() in
        # kernel/cred.c). SIGKILL, since a stopped process would not notice another one
        end_with_parent(parent, signal.SIGKILL)
        os.write(pipes.report, _NUMBER.pack(0))
        os.write(pipes.report, _NUMBER.pack(old_memory.share(pipes.lifeline)))
        _take_name(os.path.basename(path))  # last: the keeper is not the command
        os.kill(os.getpid(), signal.SIGSTOP)
        word = bytearray(len(_BEGIN))
        if os.readv(pipes.gate, [word]) and word == _BEGIN:
            end_with_parent(parent, signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            taken = _taken(resource.getrusage(resource.RUSAGE_SELF))
            os.writev(pipes.report, [_EXEC.pack(time.monotonic(), *taken)])
            os.execve(path, words, variables)
    except OSError as error:
        os.write(pipes.report, _NUMBER.pack(error.errno))
    finally:
        os._exit(NOT_FOUND)


def _taken(usage: resource.struct_rusage) -> tuple[float, ...]:
    """Return what a process took, in the order of `_EXEC`."""
    return (
        *(usage.ru_utime, usage.ru_stime, usage.ru_minflt, usage.ru_majflt),
        *(usage.ru_nvcsw, usage.ru_nivcsw, usage.ru_inblock, usage.ru_oublock),
    )


def find(command: str) -> str:
    """Return the path of a command, as execvp(3) looks for it. Raises `CannotRun`."""
    if "\0" in command:
        raise CannotRun(command, errno.EINVAL)
    candidates = [command] if "/" in command else _on_path(command)
    problem = errno.ENOENT
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
        if os.path.exists(path) and ("/" in command or not os.path.isdir(path)):
            problem = errno.EISDIR if os.path.isdir(path) else errno.EACCES
    raise CannotRun(command, problem)


def _on_path(command: str) -> list[str]:
    return [os.path.join(folder, command) for folder in os.get_exec_path()] if command else []


def _why(command: str, number: int, is_ours: bool) -> str:
    words = os.strerror(number)
    if number == errno.ENOEXEC:
        return f"{words} (a script has to begin with #! and its interpreter)"
    if number == errno.ENOENT and "/" not in command:
        return f"{words} (nor anywhere on PATH)" if command else words
    if number == errno.ENOENT and os.path.exists(command):
        return f"its interpreter: {words}"
    # the child's EPERM may be that of an exec, or of --user
    cure = instead(number) if is_ours or number == errno.ENOSYS else ""
    return f"{words}: {cure}" if cure else words


def _take_name(name: str) -> None:
    """Take the command's name early, so that a run about this process is one about that command."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as file:
        file.write(os.fsencode(name)[:LONGEST_NAME])


def _resident_peak(pid: int) -> int:
    """Return the largest resident size of a process so far, in bytes (VmHWM in proc(5)).

    Where it does not say, this process's own stands for it: a fork has no more than that.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # text would end lines at a name's \r
            return next(int(line.split()[1]) for line in file if line.startswith(b"VmHWM:")) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
