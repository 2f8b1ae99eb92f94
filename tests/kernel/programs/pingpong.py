"""Two processes on one CPU that pass a byte back and forth, or compete for the CPU.

    pingpong.py TURNS [OFFSET]

On "go" they pass the byte, with two context switches per turn. On "spin" both use the CPU for a
while. With OFFSET the second process gets the pid of the first plus OFFSET. This needs
permission to write ns_last_pid, and CONFIG_CHECKPOINT_RESTORE.
"""

import os
import sys
import time
from pathlib import Path

from protocol import say, wait

NS_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
ATTEMPTS = 200

TURN, SPIN = b".", b"s"
SPIN_SECONDS = 0.5


def answer(source: int, target: int) -> None:
    while byte := os.read(source, 1):
        if byte == SPIN:
            spin()
        os.write(target, byte)


def spin() -> None:
    end = time.monotonic() + SPIN_SECONDS
    while time.monotonic() < end:
        pass


def fork_answering(source: int, target: int, keep: int) -> int:
    child = os.fork()
    if child == 0:
        # The child inherits the parent's end of its input pipe. While that copy is open, the
        # loop in answer() never sees the end of the pipe.
        os.close(keep)
        answer(source, target)
        os._exit(0)
    return child


def fork_numbered(offset: int, source: int, target: int, keep: int) -> int:
    """Fork a child with a given pid; retry if another fork on the machine took it first."""
    wanted = os.getpid() + offset
    for _ in range(ATTEMPTS):
        NS_LAST_PID.write_text(str(wanted - 1))
        child = fork_answering(source, target, keep)
        if child == wanted:
            return child
        os.kill(child, 9)
        os.waitpid(child, 0)
    raise SystemExit(f"no child got pid {wanted}")


def main() -> None:
    turns = int(sys.argv[1])
    offset = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    there, to_child = os.pipe()
    back, to_parent = os.pipe()
    if offset:
        child = fork_numbered(offset, there, to_parent, to_child)
    else:
        child = fork_answering(there, to_parent, to_child)
    os.close(there)
    say(tids=[os.getpid(), child])
    while True:
        if wait() == "spin":
            os.write(to_child, SPIN)
            spin()
            os.read(back, 1)
        else:
            for _ in range(turns):
                os.write(to_child, TURN)
                os.read(back, 1)
        say()


main()
