"""Ordinary loads that run all the time, for runs of the agent beside them (verdicts.py).

A load is a process tree, which a run with a scope is about.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.exit_status import how_it_ended
from agent.overhead.protocols import Missing, WorkloadFailed
from agent.overhead.workloads import last_cpu, run_for_output
from benchmarks import procfs
from benchmarks.peers import PEERS, Peer
from benchmarks.postgres import Pgbench
from benchmarks.workloads import DISK, missing_tool

CLIENTS, CLIENT_SECONDS = 4, 86_400
DISK_MB = 128
SOURCES, FUNCTIONS = 6, 60
QUOTA_US, PERIOD_US = 30_000, 50_000
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
CPU_CGROUPS_V1 = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct"))

Running = Callable[[], AbstractContextManager[int]]


@dataclass(frozen=True, slots=True)
class Load:
    """``running`` runs the load and gives the pid of its root. Raises `WorkloadFailed`."""

    name: str
    label: str
    check: Callable[[], Missing | None]
    running: Running


@contextmanager
def tree(command: Sequence[str], cwd: str | Path = "/") -> Iterator[int]:
    """Run a command with its children until the end; a run may begin at any time."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process.pid
        if process.poll() is not None:
            raise WorkloadFailed(f"{command[0]} {how_it_ended(process.returncode)}")
    finally:
        # not only its session: fio's jobs have sessions of their own
        pids = procfs.tree(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def again_and_again(*commands: Sequence[str]) -> Sequence[str]:
    """Return a command that runs these in turn, for ever; the shell fails if one of them does."""
    lines = " && ".join(shlex.join(command) for command in commands)
    return ("sh", "-c", f"while {lines}; do :; done")


def always(*tools: tuple[str, str]) -> Callable[[], Missing | None]:
    """Return a check for tools, each with the package that it comes from."""

    def check() -> Missing | None:
        return next(filter(None, (missing_tool(*tool) for tool in tools)), None)

    return check


# --- the loads


def idle() -> AbstractContextManager[int]:
    return tree(again_and_again(("sleep", "0.1")))


def short_commands() -> AbstractContextManager[int]:
    return tree(again_and_again(("/bin/true",)))


@contextmanager
def compilation() -> Iterator[int]:
    """Compile a few C files with make, one compiler per CPU."""
    with tempfile.TemporaryDirectory(prefix="chainbench-cc-", dir=DISK) as folder:
        for number in range(SOURCES):
            Path(folder, f"part{number}.c").write_text(_source(number))
        objects = " ".join(f"part{number}.o" for number in range(SOURCES))
        Path(folder, "Makefile").write_text(f"all: {objects}\n")
        make = ("make", "-B", "-s", f"-j{os.cpu_count()}", "CFLAGS=-O2", "all")
        with tree(again_and_again(make), cwd=folder) as root:
            yield root


def _source(number: int) -> str:
    """Return a C file that takes a compiler about a third of a second."""
    return "\n".join(
        f"unsigned part{number}_{f}(unsigned *v, unsigned n)\n"
        "{\n\tunsigned s = 0;\n"
        "\tfor (unsigned i = 0; i < n; i++)\n"
        f"\t\ts = s * {f + 31}u + (v[i] ^ (s >> {f % 7 + 1}));\n"
        "\treturn s;\n}"
        for f in range(FUNCTIONS)
    )


@contextmanager
def database() -> Iterator[int]:
    """Run pgbench for as long as wanted. The tree is that of the server."""
    server = Pgbench(CLIENT_SECONDS)
    with server.prepared(), tree(server.client(CLIENTS)):
        yield server.pid


@contextmanager
def direct_io() -> Iterator[int]:
    """Read and write a file with fio, directly and at random places, 8 in flight."""
    with tempfile.TemporaryDirectory(prefix="chainbench-fio-", dir=DISK) as folder:
        job = "--name=load --size=64m --direct=1 --ioengine=libaio --bs=4k"
        run_for_output(["fio", f"--directory={folder}", *job.split(), "--rw=write"])
        endless = f"--rw=randrw --iodepth=8 --time_based --runtime={CLIENT_SECONDS}"
        with tree(["fio", f"--directory={folder}", *job.split(), *endless.split()]) as root:
            yield root


def messages() -> AbstractContextManager[int]:
    return tree(again_and_again(("hackbench", "-g", "4", "-l", "500")))


@contextmanager
def quota() -> Iterator[int]:
    """Run hackbench in a cgroup that gets 60 % of one CPU."""
    with _cgroup() as cgroup:
        into = f"echo $$ > {shlex.quote(str(cgroup / 'cgroup.procs'))}"
        loop = shlex.join(again_and_again(("hackbench", "-g", "1", "-l", "500")))
        with tree(("sh", "-c", f"{into} && exec {loop}")) as root:
            yield root


def cpu_cgroups() -> Path | None:
    """Return a folder below which a cgroup can have a CPU quota, v2 or v1."""
    for folder in CGROUPS:
        with suppress(OSError):
            if "cpu" in (folder / "cgroup.subtree_control").read_text().split():
                return folder
    return next((folder for folder in CPU_CGROUPS_V1 if (folder / "tasks").exists()), None)


def _needs_quota() -> Missing | None:
    if cpu_cgroups() is None:
        return Missing("no cgroup with a CPU quota can be made here")
    return missing_tool("hackbench", "rt-tests")


@contextmanager
def _cgroup() -> Iterator[Path]:
    parent = cpu_cgroups()
    if parent is None:
        raise WorkloadFailed("no cgroup with a CPU quota can be made here")
    folder = parent / f"chainbench-verdicts-{os.getpid()}"
    folder.mkdir()
    try:
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text(f"{QUOTA_US} {PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        yield folder
    finally:
        _remove(folder)


def _remove(cgroup: Path) -> None:
    """Remove a cgroup, whose killed processes may take a while to end."""
    for pid in (cgroup / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(
        ["sh", "-c", 'until rmdir "$0" 2>/dev/null; do sleep 0.05; done', cgroup], timeout=30
    )


@contextmanager
def straced() -> Iterator[int]:
    """Write a file synchronously, with strace following every call."""
    with tempfile.TemporaryDirectory(prefix="chainbench-strace-", dir=DISK) as folder:
        dd = f"dd if=/dev/zero of={folder}/data bs=4k count=200 oflag=dsync status=none"
        with tree(again_and_again(("strace", "-f", "-o", "/dev/null", *dd.split()))) as root:
            yield root


BESIDE = ("bcc-runqlat", "bpftrace", "perf-sched")
"""Tracers by preference; the first two that work here run beside the load."""


def _tracers(stack: ExitStack) -> list[Peer]:
    peers = {tool.name: Peer(tool, stack) for tool in PEERS}
    return [peers[name] for name in BESIDE if peers[name].check() is None][:2]


def _needs_tracers() -> Missing | None:
    with ExitStack() as stack:
        if len(_tracers(stack)) < 2:
            return Missing(
                "fewer than two other tracers work here", "apt-get install bpftrace bpfcc-tools"
            )
    return missing_tool("perf", "linux-perf")


@contextmanager
def traced() -> Iterator[int]:
    """Play ping-pong through pipes on one CPU, with two other tracers on the same tracepoints."""
    (cpu,) = last_cpu()
    pipe = f"taskset -c {cpu} perf bench sched pipe -l 100000"
    with ExitStack() as stack:
        for tracer in _tracers(stack):
            stack.enter_context(tracer.armed())
        yield stack.enter_context(tree(again_and_again(pipe.split())))


@contextmanager
def journal() -> Iterator[int]:
    """Write and sync files on an ext4 of its own, with a journal, on a loop device."""
    with tempfile.TemporaryDirectory(prefix="chainbench-ext4-", dir=DISK) as folder:
        image, mounted = Path(folder, "image"), Path(folder, "mounted")
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(DISK_MB << 20)
        run_for_output(["mkfs.ext4", "-q", "-J", "size=8", str(image)])
        run_for_output(["mount", "-o", "loop", str(image), str(mounted)])
        try:
            synced = f"dd if=/dev/zero of={mounted}/a bs=4k count=50 conv=fsync status=none"
            dsync = f"dd if=/dev/zero of={mounted}/b bs=4k count=50 oflag=dsync status=none"
            with tree(again_and_again(synced.split(), dsync.split())) as root:
                yield root
        finally:
            # the killed processes may still wait for the disk
            until = 'until umount "$0" 2>/dev/null; do sleep 0.1; done'
            subprocess.run(["sh", "-c", until, mounted], timeout=60, check=True)


def _needs_root() -> Missing | None:
    if os.geteuid() != 0:
        return Missing("mounting needs root", "run the suite with sudo")
    return missing_tool("mkfs.ext4", "e2fsprogs")


WRITER = (
    "import os, sys\n"
    "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
    "for _ in range(8): os.write(fd, bytes(1 << 24))\n"
    "os.ftruncate(fd, 0)\n"
)
WAKER = "import time\nwhile True: time.sleep(0.0003)\n"


@contextmanager
def beside_a_waker() -> Iterator[int]:
    """Write a file again and again on one CPU, beside a task that wakes often.

    A wakeup that asks for a switch stops the scheduler's clock; where the kernel does not preempt
    itself, the switch comes milliseconds later.
    """
    (cpu,) = last_cpu()
    alone = ("taskset", "-c", str(cpu), sys.executable, "-ISc")
    with tempfile.TemporaryDirectory(prefix="chainbench-writer-", dir=DISK) as folder:
        writer = again_and_again((*alone, WRITER, f"{folder}/data"))
        with tree((*alone, WAKER)), tree(writer) as root:
            yield root


LOADS = (
    Load("idle", "nothing but a shell that sleeps", always(), idle),
    Load("exec", "one `/bin/true` after another", always(), short_commands),
    Load("compile", "gcc, one per CPU", always(("gcc", "gcc"), ("make", "make")), compilation),
    Load("pgbench", "PostgreSQL, 4 clients", Pgbench(1).check, database),
    Load("fio", "direct reads and writes, 8 in flight", always(("fio", "fio")), direct_io),
    Load("hackbench", "160 tasks", always(("hackbench", "rt-tests")), messages),
    Load("quota", "hackbench in a cgroup with 60 % of a CPU", _needs_quota, quota),
    Load("strace", "strace beside a `dd`", always(("strace", "strace")), straced),
    Load("tracers", "two other tracers beside a ping-pong", _needs_tracers, traced),
    Load("journal", "fsync and O_DSYNC on ext4", _needs_root, journal),
    Load("wakeups", "writes beside a task that wakes often, on one CPU", always(), beside_a_waker),
)
