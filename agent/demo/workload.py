"""A real workload of about two seconds that shows in every section of evidence.

Its parts run at once, each in a process of its own: one more of the computing kind than there
are CPUs, so that tasks queue for them.
"""

import contextlib
import hashlib
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from agent.client.interpreter import own_module

SECONDS = 2.0
DATASET = bytes(range(256)) * 256
"""What is hashed and written: 64 KiB, the same in every run."""

BLOCK = 4096
WRITES_A_FSYNC = 16
THREADS = 4
COMMANDS = (["true"], ["date"], ["ls", "/"])


def before(deadline: float) -> Iterator[int]:
    """Numbers the turns until the monotonic clock passes ``deadline``."""
    turn = 0
    while time.monotonic() < deadline:
        yield turn
        turn += 1


def compute(deadline: float) -> int:
    """Hashes; returns how many times the data set was hashed."""
    digest = hashlib.sha256()
    turns = 0
    for _ in before(deadline):
        digest.update(DATASET)
        turns += 1
    return turns


def write_blocks(deadline: float) -> int:
    """Writes blocks past the page cache, with an fsync now and then; returns how many."""
    # O_DIRECT wants memory aligned to the device's blocks; a mapping begins on a page.
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
    """A file that is gone afterwards, opened with O_DIRECT where the file system takes it.

    In /var/tmp, since /tmp is often in memory and would never reach a block device.
    """
    folder = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with tempfile.NamedTemporaryFile(prefix="chainbench-demo-", dir=folder) as file:
        try:
            fd = os.open(file.name, os.O_RDWR | getattr(os, "O_DIRECT", 0))
        except OSError:
            fd = os.open(file.name, os.O_RDWR)
        try:
            yield fd
        finally:
            os.close(fd)


def play_ping_pong(deadline: float) -> int:
    """Two processes hand one byte back and forth over pipes; returns the number of turns."""
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
    """Threads fight over one lock; returns how often it was taken."""
    lock = threading.Lock()
    taken = 0

    def take() -> None:
        nonlocal taken
        for _ in before(deadline):
            with lock:
                taken += 1
                # Held across a wait, so that the others block on the lock's futex.
                time.sleep(0.0002)

    threads = [threading.Thread(target=take) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def run_commands(deadline: float) -> int:
    """Starts small programs one after the other; returns how many."""
    started = 0
    for turn in before(deadline):
        subprocess.run(COMMANDS[turn % len(COMMANDS)], stdout=subprocess.DEVNULL, check=False)
        started += 1
    return started


PARTS: dict[str, tuple[Callable[[float], int], str]] = {
    "compute": (compute, "hashes of 64 KiB"),
    "disk": (write_blocks, "direct writes of 4 KiB"),
    "pipes": (play_ping_pong, "turns of ping-pong over pipes"),
    "threads": (contend, "turns with a contended lock"),
    "commands": (run_commands, "commands started"),
}
"""What each part does, and the unit of what it returns."""


def run(seconds: float = SECONDS) -> dict[str, int]:
    """Runs all parts at once for ``seconds``; returns what was done, by what it counts.

    Raises subprocess.CalledProcessError where a part fails.
    """
    extra = os.cpu_count() or 1
    processes = [(name, start_part(name, seconds)) for name in ["compute"] * extra + list(PARTS)]
    done: dict[str, int] = {}
    for name, process in processes:
        output, _ = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, f"workload {name}")
        unit = PARTS[name][1]
        done[unit] = done.get(unit, 0) + int(output)
    return done


def start_part(name: str, seconds: float) -> "subprocess.Popen[str]":
    part = own_module("agent.demo.workload", name, str(seconds))
    return subprocess.Popen(
        part.command, env=dict(part.environment), stdout=subprocess.PIPE, text=True
    )


def main(name: str, seconds: str) -> None:
    part, _ = PARTS[name]
    sys.stdout.write(f"{part(time.monotonic() + float(seconds))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
