"""A workload of the deadline scheduler that gives the CPU away in each of its periods.

deadline.py SCHED_SETATTR (its syscall number)

An order is the number of periods. The answer says how long the calls of sched_yield() took; or the
error, if the kernel refuses the policy.
"""

import ctypes
import os
import struct
import sys
import time

from protocol import say, wait

SCHED_OTHER, SCHED_DEADLINE = 0, 6
RUNTIME_NS, PERIOD_NS = 10_000_000, 50_000_000
LIBC = ctypes.CDLL(None, use_errno=True)


def set_policy(number: int, policy: int) -> int:
    """Return 0, or an error number."""
    times = (RUNTIME_NS, PERIOD_NS, PERIOD_NS) if policy == SCHED_DEADLINE else (0, 0, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, policy, 0, 0, 0, *times)  # struct sched_attr
    return 0 if LIBC.syscall(number, 0, attributes, 0) == 0 else ctypes.get_errno()


def main(number: int) -> None:
    say()
    while True:
        periods = int(wait())
        error = set_policy(number, SCHED_DEADLINE)
        began = time.monotonic_ns()
        for _ in range(0 if error else periods):
            os.sched_yield()
        away = time.monotonic_ns() - began
        set_policy(number, SCHED_OTHER)
        say(error=error, ms=away / 1e6)


main(int(sys.argv[1]))
