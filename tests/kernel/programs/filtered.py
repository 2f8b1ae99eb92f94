"""A workload of calls that a seccomp filter refuses.

filtered.py GETPPID EXECVE (their syscall numbers)

An order is the number of calls: as many of getppid(), which is refused, as of getuid(), which is
not, and a tenth as many of execve(), which is refused.
"""

import ctypes
import os
import sys

from filters import refuse
from protocol import say, wait


def main(getppid: int, execve: int) -> None:
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    refuse(getppid, execve)
    say()
    while True:
        count = int(wait())
        refused = sum(syscall(getppid) == -1 for _ in range(count))
        for _ in range(count):
            os.getuid()
        for _ in range(count // 10):
            try:
                os.execv("/bin/true", ["true"])
            except PermissionError:
                refused += 1
        say(refused=refused)


main(*map(int, sys.argv[1:]))
