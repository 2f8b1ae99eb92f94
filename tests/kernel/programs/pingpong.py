"""Two processes on one CPU: told to "go", they hand a byte to each other, two context switches
a turn; told to "spin", they both want the CPU for a while.

    pingpong.py TURNS [OFFSET]

With OFFSET the second process gets the number of the first plus OFFSET (needs the right to
write ns_last_pid, CONFIG_CHECKPOINT_RESTORE).
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
        # Both ends of the first pipe are open here too; ours of it is all that ends the loop.
        os.close(keep)
        answer(source, target)
        os._exit(0)
    return child


def fork_numbered(offset: int, source: int, target: int, keep: int) -> int:
    """Other forks of the machine come in between now and then; those are tried again."""
    wanted = os.getpid() + offset
    for _ in range(ATTEMPTS):
        NS_LAST_PID.write_text(str(wanted - 1))
        child = fork_answering(source, target, keep)
        if child == wanted:
            return child
        os.kill(child, 9)
        os.waitpid(child, 0)
    raise SystemExit(f"never got to be {wanted}")


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
