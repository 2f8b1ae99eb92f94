"""A process that is known to do something: switches, page faults, reads, CPU time."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

SWITCHES, PAGES, BYTES = 200, 2_000, 1 << 20
PAGE = os.sysconf("SC_PAGESIZE")

ACTIVE = f"""
import mmap, os, sys, time
def act():
    for _ in range({SWITCHES}):
        time.sleep(0.0005)
    fresh = mmap.mmap(-1, {PAGES * PAGE}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fresh.madvise(getattr(mmap, "MADV_NOHUGEPAGE", 15))
    for page in range(0, {PAGES * PAGE}, {PAGE}):
        fresh[page] = 1
    with open("/dev/zero", "rb", buffering=0) as zero:
        zero.read({BYTES})
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass
"""
WHEN_TOLD = "import sys; sys.stdin.readline(); {act}; print('done', flush=True); sys.stdin.read()"
IN_CHILDREN = """
def in_children():
    for _ in range(3):
        if (pid := os.fork()) == 0:
            act()
            os._exit(0)
        os.waitpid(pid, 0)
"""


class Child:
    """A process that acts when it is told to, and then stays."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        self._process = process

    def tell(self) -> None:
        """Have it act."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"now\n")
        self._process.stdin.flush()

    def act(self) -> None:
        """Return once it has acted."""
        self.tell()
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"done\n"


def act_and_end() -> str:
    """Return a program that acts, in children that it waits for, and ends."""
    return f"{ACTIVE}{IN_CHILDREN}\nin_children()"


@contextmanager
def acting(what: str, before: Sequence[str] = ()) -> Iterator[Child]:
    """Start such a process, with a command ``before`` it; ``what``: act() or in_children()."""
    program = ACTIVE + IN_CHILDREN + WHEN_TOLD.format(act=what)
    # not through a link that another user may not be able to read
    command = [*before, os.path.realpath(sys.executable), "-ISc", program]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


@contextmanager
def sleeping(number: int) -> Iterator[set[int]]:
    """Have that many children; their pids."""
    family = [subprocess.Popen(["sleep", "60"]) for _ in range(number)]
    try:
        yield {process.pid for process in family}
    finally:
        for process in family:
            process.kill()
            process.wait()
