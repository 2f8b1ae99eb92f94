"""Summaries of individual tasks: sent when a task exits, or at the stop for those still alive."""

import numpy as np
from numpy.typing import NDArray

from agent.streams.shared.layout import SUMMARY_SIZE

_FIELDS = (
    ("tid", "u4"),
    ("local_tid", "u4"),
    ("comm", "S16"),
    ("state", "u4"),
    ("kernel_thread", "u4"),
    ("now_ns", "u8"),
    ("born_ns", "u8"),
    ("wait_ns", "u8"),
    ("preempted_ns", "u8"),
    ("oncpu_ns", "u8"),
    ("blocked_ns", "u8"),
    ("open_ns", "u8"),
    ("waits", "u4"),
    ("sleep_as_wait_us", "u4"),
    ("kernel_run_delay", "u8"),
    ("kernel_runtime", "u8"),
    ("kernel_pcount", "u4"),
    ("turn_excess_us", "i4"),
    ("scheduler_excess_ns", "i8"),
)

SUMMARY_DTYPE = np.dtype(list(_FIELDS))
"""struct task_summary of layout.h; docs/explanation/task-accounts.md says which sums are equal."""

Summaries = NDArray[np.void]


def from_words(words: NDArray[np.uint64]) -> Summaries:
    """Copy the summaries out of a stream's words."""
    return np.ascontiguousarray(words).reshape(-1).view(SUMMARY_DTYPE)


def from_file(fd: int) -> Summaries:
    """Read the summaries from a file that the supervisor sent, and close it."""
    with open(fd, "rb") as file:
        content = file.read()
    return np.frombuffer(content[: len(content) - len(content) % SUMMARY_SIZE], SUMMARY_DTYPE)


def none() -> Summaries:
    return np.empty(0, SUMMARY_DTYPE)


def command(comm: bytes) -> str:
    """Return a task's name as text; a process may choose any bytes for it."""
    return comm.decode(errors="replace")
