"""A real workload of about two seconds that shows up in every section of the evidence.

Its parts run concurrently, each in its own process. The number of CPU-bound processes exceeds the
number of CPUs by one, so that tasks have to queue.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from agent.client.children import child
from agent.client.interpreter import own_module

SECONDS = 2.0
DATASET = bytes(range(256)) * 256
"""The data that is hashed and written: 64 KiB, the same in every run."""

BLOCK = 4096
WRITES_A_FSYNC = 16
THREADS = 4
COMMANDS = (["true"], ["date"], ["ls", "/"])


def before(deadline: float) -> Iterator[int]:
    """Count iterations from 0 until the monotonic clock passes ``deadline``."""
    turn = 0
    while time.monotonic() < deadline:
        yield turn
        turn += 1


def compute(deadline: float) -> int:
    """Hash the data set repeatedly, and return how many times."""
    digest = hashlib.sha256()
    turns = 0
    for _ in before(deadline):
        digest.update(DATASET)
        turns += 1
    return turns


def write_blocks(deadline: float) -> int:
    """Write blocks bypassing the page cache, with occasional fsyncs, and return how many."""
    # O_DIRECT needs memory aligned to the device's blocks; a mapping is page-aligned.
    block = mmap.mmap(-1, BLOCK)
    block.write(DATASET[:BLOCK])
    written = 0
    with scratch_file() as fd:
        for turn in before(deadline):
            written += os.pwrite(fd, block, turn % 1024 * BLOCK) // BLOCK
            if turn % WRITES_A_FSYNC == 0:
                os.fsync(fd)
    return written


@contextlib.contextmanager
def scratch_file() -> Iterator[int]:
    """Yield a temporary file without a name, with O_DIRECT if the file system supports it.

    The file is in /var/tmp, since /tmp is often a tmpfs and would never reach a block device.
    """
    folder = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with tempfile.TemporaryFile(dir=folder) as file:
        fd = file.fileno()
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | getattr(os, "O_DIRECT", 0))
        yield fd


def play_ping_pong(deadline: float) -> int:
    """Pass one byte back and forth between two processes, and return the number of turns."""
    there_out, there_in = os.pipe()
    back_out, back_in = os.pipe()
    if os.fork() == 0:
        os.close(there_in)
        while byte := os.read(there_out, 1):
            os.write(back_in, byte)
        os._exit(0)
    turns = 0
    for _ in before(deadline):
        os.write(there_in, b"!")
        turns += len(os.read(back_out, 1))
    os.close(there_in)
    os.wait()
    return turns


def contend(deadline: float) -> int:
    """Let several threads contend for one lock, and return how often it was taken."""
    lock = threading.Lock()
    taken = 0

    def take() -> None:
        nonlocal taken
        for _ in before(deadline):
            with lock:
                taken += 1
                # Sleep with the lock held, so that the others block on its futex.
                time.sleep(0.0002)

    threads = [threading.Thread(target=take) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def run_commands(deadline: float) -> int:
    """Run small programs one after another, and return how many."""
    started = 0
    for turn in before(deadline):
        subprocess.run(COMMANDS[turn % len(COMMANDS)], stdout=subprocess.DEVNULL, check=False)
        started += 1
    return started


PARTS: dict[str, tuple[Callable[[float], int], str]] = {
    "compute": (compute, "hashes of 64 KiB"),
    "disk": (write_blocks, "direct writes of 4 KiB"),
    "pipes": (play_ping_pong, "turns of ping-pong over pipes"),
    "threads": (contend, "acquisitions of a contended lock"),
    "commands": (run_commands, "commands started"),
}
"""Each part's function and the unit of its count."""


def run(seconds: float = SECONDS) -> dict[str, int]:
    """Run all parts concurrently for ``seconds``, and return the counts by unit.

    Raises subprocess.CalledProcessError if a part fails.
    """
    names = ["compute"] * (os.cpu_count() or 1) + list(PARTS)
    done: dict[str, int] = {}
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(part(name, seconds)) for name in names]
        for name, process in zip(names, processes, strict=True):
            output, _ = process.communicate()
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, f"workload {name}")
            unit = PARTS[name][1]
            done[unit] = done.get(unit, 0) + int(output)
    return done


def part(name: str, seconds: float) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """Start a part as a child, which prints its count."""
    return child(
        own_module("agent.demo.workload", name, str(seconds)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def main(name: str, seconds: str) -> None:
    work, _ = PARTS[name]
    sys.stdout.write(f"{work(time.monotonic() + float(seconds))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
