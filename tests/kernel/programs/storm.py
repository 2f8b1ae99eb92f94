"""A fork storm: children that live as briefly as possible, each with a different name.

storm.py CHILDREN
"""

import os
import sys
from pathlib import Path

from protocol import say, wait

AT_ONCE = 50


def child(number: int) -> int:
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text(f"storm-{number}")
        os._exit(0)
    return pid


def main() -> None:
    children = int(sys.argv[1])
    say()
    wait()
    for first in range(0, children, AT_ONCE):
        # forked together, so that many of them exist at the same time
        for pid in [child(first + i) for i in range(AT_ONCE)]:
            os.waitpid(pid, 0)
    say(children=children)
    wait()


main()
