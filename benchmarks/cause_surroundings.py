"""What surrounds the programs of cause_pairs.py: other processes, files, a disk that is slowed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from agent.overhead.protocols import Missing
from agent.overhead.workloads import run_for_output
from benchmarks.verdict_loads import cpu_cgroups
from benchmarks.workloads import DISK, missing_tool

STOPPED_STATE = "T"
"""As in proc(5)."""
POLL_S = 0.001
PATIENCE_S = 5.0
FILE_BYTES = 1 << 26
QUOTA_US, PERIOD_US = 8_000, 20_000
SPIN = (sys.executable, "-ISc", "while True: pass")
IO_CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/blkio"))
NO_QUOTA = "no cgroup with a CPU quota can be made here"
NO_THROTTLING = "no controller of cgroups here throttles block I/O"


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder on a disk."""
    with tempfile.TemporaryDirectory(prefix="chainbench-causes-", dir=DISK) as name:
        yield Path(name)


def written_file(path: Path) -> Path:
    """Write a file that is in the page cache, and on the disk."""
    with path.open("wb") as file:
        file.write(os.urandom(FILE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return path


@contextmanager
def spinning(cpu: int) -> Iterator[None]:
    """Keep a CPU busy with a process that no run is about, in the session of the commands."""
    with subprocess.Popen(("taskset", "-c", str(cpu), *SPIN)) as process:
        try:
            yield
        finally:
            process.kill()


# --- other processes that let the programs wait


@contextmanager
def answering() -> Iterator[Path]:
    """Answer each request on a socket after the number of ms that it asks for."""
    with _answering(lambda asked: time.sleep(int(asked) / 1e3)) as path:
        yield path


@contextmanager
def awake_or_asleep(cpus: Iterable[int]) -> Iterator[Path]:
    """Keep CPUs from sleeping whenever that was asked for (``awake``), until it no longer is.

    They are kept busy by processes that any other one preempts (SCHED_IDLE), in the session of the
    commands: the scheduler gives each session its share.
    """
    with ExitStack() as stack:
        spinning = []
        for cpu in cpus:
            words = ("chrt", "-i", "0", "taskset", "-c", str(cpu), *SPIN)
            process = stack.enter_context(subprocess.Popen(words))
            stack.callback(process.kill)
            spinning.append(process.pid)

        def serve(asked: bytes) -> None:
            for pid in spinning:
                os.kill(pid, signal.SIGCONT if asked == b"awake" else signal.SIGSTOP)
                _wait_until(pid, is_stopped=asked != b"awake")

        yield stack.enter_context(_answering(serve))


def needs_quota() -> Missing | None:
    if cpu_cgroups() is None:
        return Missing(NO_QUOTA)
    return None


def cpu_group() -> AbstractContextManager[Path]:
    """Return a context manager that makes a cgroup that can have a CPU quota."""
    return _cgroup(cpu_cgroups(), "quota", NO_QUOTA)


@contextmanager
def with_or_without_quota(group: Path) -> Iterator[Path]:
    """Limit the CPU time of a cgroup whenever that was asked for (``quota``), until no longer."""
    is_v1 = not (group / "cpu.max").exists()
    if is_v1:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))

    def serve(asked: bytes) -> None:
        limited = asked == b"quota"
        if is_v1:
            (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US if limited else -1))
        else:
            (group / "cpu.max").write_text(f"{QUOTA_US if limited else 'max'} {PERIOD_US}")

    with _answering(serve) as path:
        yield path


@contextmanager
def _answering(serve: Callable[[bytes], None]) -> Iterator[Path]:
    """Answer each connection's request with one byte, once ``serve`` has returned."""

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection.recv(64))
            connection.sendall(b"!")

    with _listening(socket.SOCK_STREAM) as (server, path):
        server.listen()
        with _thread(server, lambda: answer(server.accept()[0])):
            yield path


@contextmanager
def continuing() -> Iterator[Path]:
    """Continue stopped processes, each after the number of ms that it asked for beforehand."""

    def serve(server: socket.socket) -> None:
        asked = server.recv(64)
        if not asked:
            raise OSError("it has been shut down")
        pid, ms = map(int, asked.split())
        _wait_until(pid, is_stopped=True)
        time.sleep(ms / 1e3)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    with _listening(socket.SOCK_DGRAM) as (server, path), _thread(server, lambda: serve(server)):
        yield path


def _wait_until(pid: int, *, is_stopped: bool) -> None:
    """Wait until a process is stopped, or is not: for a while, and not for one that is gone."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and _state(pid) not in ("", "Z"):
        if (_state(pid) == STOPPED_STATE) == is_stopped:
            return
        time.sleep(POLL_S)


def _state(pid: int) -> str:
    """Return a process's state; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


@contextmanager
def _listening(kind: socket.SocketKind) -> Iterator[tuple[socket.socket, Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="chainbench-causes-") as name,
        socket.socket(socket.AF_UNIX, kind) as server,
    ):
        path = Path(name, "socket")
        server.bind(str(path))
        yield server, path


@contextmanager
def _thread(server: socket.socket, serve: Callable[[], None]) -> Iterator[None]:
    """Call ``serve`` again and again in a thread, until the end."""

    def loop() -> None:
        with contextlib.suppress(OSError):  # it has been shut down
            while True:
                serve()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        _wake(server)
        thread.join(PATIENCE_S)


def _wake(server: socket.socket) -> None:
    """End a call in another thread that waits for this socket."""
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)


# --- a disk that is slow for a group of processes


@contextmanager
def loop_device(file: Path) -> Iterator[Path]:
    """Attach a file to a free loop device that reads it past the page cache.

    The device's own page cache is filled, and kept for as long as somebody has the device open.
    """
    losetup = ("losetup", "--show", "--direct-io=on", "-f", str(file))
    node = run_for_output(losetup).strip()
    try:
        with open(node, "rb") as device:
            while device.read(1 << 20):
                pass
            yield Path(node)
    finally:
        run_for_output(("losetup", "-d", node))


def needs_loop_device() -> Missing | None:
    if os.geteuid() != 0:
        return Missing("a loop device needs root", "run the suite with sudo")
    return missing_tool("losetup", "mount")


def needs_slow_disk() -> Missing | None:
    if _io_cgroups() is None:
        return Missing(NO_THROTTLING)
    return needs_loop_device()


def _io_cgroups() -> Path | None:
    """Return a folder below which a cgroup can have its block I/O throttled, v2 or v1."""
    for path in IO_CGROUPS:
        with contextlib.suppress(OSError):
            if "io" in (path / "cgroup.subtree_control").read_text().split():
                return path
    v1 = IO_CGROUPS[-1]
    return v1 if (v1 / "blkio.throttle.read_iops_device").exists() else None


def io_group() -> AbstractContextManager[Path]:
    """Return a context manager that makes a cgroup whose block I/O can be throttled."""
    return _cgroup(_io_cgroups(), "io", NO_THROTTLING)


@contextmanager
def slow_or_quick(group: Path, file: Path, reads_per_s: int) -> Iterator[Path]:
    """Limit how often a cgroup may read the disk of a file whenever that was asked for (``slow``).

    Not the loop device above it: requests are not made before they are let through, so it is the
    loop device's requests that take longer. Setting a limit begins a new slice of time; otherwise
    what was not read in the last one may be added.
    """
    disk = _whole_disk(file)

    def serve(asked: bytes) -> None:
        is_slow = asked == b"slow"
        if (group / "io.max").exists():
            (group / "io.max").write_text(f"{disk} riops={reads_per_s if is_slow else 'max'}")
        else:
            limits = group / "blkio.throttle.read_iops_device"
            limits.write_text(f"{disk} {reads_per_s if is_slow else 0}")

    with _answering(serve) as path:
        yield path


@contextmanager
def _cgroup(parent: Path | None, name: str, lacking: str) -> Iterator[Path]:
    """Make a cgroup. Raises FileNotFoundError, which says what is lacking, without a parent."""
    if parent is None:
        raise FileNotFoundError(lacking)
    path = parent / f"chainbench-causes-{os.getpid()}-{name}"
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def _whole_disk(file: Path) -> str:
    """Return ``major:minor`` of the disk that a file is on; only whole disks can be throttled."""
    number = file.stat().st_dev
    node = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    return ((node.parent if (node / "partition").exists() else node) / "dev").read_text().strip()


def member_of(group: Path, command: Sequence[str]) -> list[str]:
    """Return a command that runs another one in a cgroup."""
    into = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
    return ["sh", "-c", into, "sh", str(group), *command]
