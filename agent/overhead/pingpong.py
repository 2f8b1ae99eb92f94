"""Two processes that pass a byte through two pipes: ``python -m agent.overhead.pingpong TURNS``.

A turn is two context switches and four syscalls, the worst case for probes on either. The script
prints the seconds per turn. It replaces ``perf bench sched pipe`` where that is not installed.
"""

import os
import sys
import time


def seconds_per_turn(turns: int) -> float:
    """Return the time per turn. It forks, so call it from a single-threaded process."""
    to_child, from_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        # of its own pipes it holds no write end, so it ends when its parent does
        os.close(to_child[1])
        os.close(from_child[0])
        _echo(to_child[0], from_child[1])
        os._exit(0)
    began = time.perf_counter()
    for _ in range(turns):
        os.write(to_child[1], b".")
        os.read(from_child[0], 1)
    took = time.perf_counter() - began
    os.close(to_child[1])
    os.waitpid(child, 0)
    return took / turns


def _echo(source: int, sink: int) -> None:
    while os.read(source, 1):
        os.write(sink, b".")


if __name__ == "__main__":
    sys.stdout.write(f"{seconds_per_turn(int(sys.argv[1]))}\n")
