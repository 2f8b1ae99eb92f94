"""A workload that has an io_uring, or whose child had one when it exited.

uring.py IO_URING_SETUP (its syscall number)

An order is "own" or "child"; the answer has the error if the kernel has no io_uring.
"""

import ctypes
import os
import sys

from protocol import say, wait

PARAMETERS_SIZE = 120
"""sizeof(struct io_uring_params)."""


def set_up(number: int) -> int:
    """Return 0, or an error number."""
    libc = ctypes.CDLL(None, use_errno=True)
    parameters = ctypes.create_string_buffer(PARAMETERS_SIZE)
    return 0 if libc.syscall(number, 1, parameters) >= 0 else ctypes.get_errno()


def main(number: int) -> None:
    say()
    while True:
        if wait() == "own":
            say(error=set_up(number))
            continue
        child = os.fork()
        if child == 0:
            os._exit(set_up(number))
        say(error=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main(int(sys.argv[1]))
