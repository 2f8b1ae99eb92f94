"""Which process a number means, as the kernel itself sees it. Privileged side.

In a pid namespace a process has another number than in the initial one, by which the kernel's
programs know it, and in a time namespace CLOCK_MONOTONIC is not the clock that they read. An
iterator over tasks translates both: the kernel runs it for the tasks of our own namespace.
"""

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.streams.shared import bpf
from agent.streams.shared.causes import cannot
from agent.streams.shared.layout import IDENTITY_SIZE

_LAYOUT = struct.Struct("=IIIIIIQQ16sI4x")
"""struct task_identity of layout.h."""
assert _LAYOUT.size == IDENTITY_SIZE

CLOCK_SAMPLES = 20
"""Once in a supervisor's life, in 0.7 ms."""


@dataclass(frozen=True)
class Identity:
    """A task and its process, by their numbers in the initial pid namespace and in our own."""

    tid: int
    tgid: int
    local_tid: int
    local_tgid: int
    parent_tgid: int
    level: int
    """How deep our pid namespace is nested; 0: it is the initial one."""
    now_ns: int
    """bpf_ktime_get_ns() when the rest was read."""
    age_ns: int
    """Since the process was created."""
    comm: bytes
    """The name of the process's main thread."""
    uid: int
    """In the initial user namespace; NO_UID unless real, effective and saved user are the same."""

    @property
    def command(self) -> str:
        return self.comm.partition(b"\0")[0].decode(errors="replace")


Identify = Callable[[int], "Identity | None"]
"""Return the task that has this thread id in our own pid namespace, or None."""


def identify(iterator_fd: int, number: int) -> Identity | None:
    rows = (Identity(*row) for row in _LAYOUT.iter_unpack(bpf.run_iterator(iterator_fd, number)))
    return next((row for row in rows if row.local_tid == number), None)


def ourselves(identify: Identify) -> Identity:
    """Return this process. Raises CannotCollect."""
    found = identify(os.getpid())
    if found is None:
        raise cannot("kernel_refused", "an iterator over all tasks does not find this process")
    return found


def clock_offset(identify: Identify) -> int:
    """Return bpf_ktime_get_ns() - CLOCK_MONOTONIC in ns: 0 except in a time namespace.

    It is off by half of the time between the two readings of our own clock around the kernel's, so
    the closest pair is used. Raises CannotCollect.
    """
    closest = min((_reading(identify) for _ in range(CLOCK_SAMPLES)), key=lambda r: r[2] - r[0])
    before, kernel, after = closest
    return 0 if before <= kernel <= after else kernel - (before + after) // 2


def _reading(identify: Identify) -> tuple[int, int, int]:
    before = time.monotonic_ns()
    kernel = ourselves(identify).now_ns
    return before, kernel, time.monotonic_ns()
