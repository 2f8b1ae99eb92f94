"""Summaries of individual tasks: sent when a task exits, or at the stop for those still alive."""

import numpy as np
from numpy.typing import NDArray

from agent.sections.offcpu.layout import WALL_THREAD_REASONS, WALL_THREAD_ROW

_FIELDS = (
    ("tid", "u4"),
    ("local_tid", "u4"),
    ("comm", "S16"),
    ("state", "u4"),
    ("kernel_thread", "u2"),
    ("reason", "u2"),
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

THREAD_ROW_DTYPE = np.dtype(
    {
        "names": ["tid", "began_ns", "stopped_ns", "other_ns", "blocked"],
        "formats": ["u4", "u8", "u8", "u8", ("u8", WALL_THREAD_REASONS)],
        "offsets": [0, 8, 16, 24, 32],
        "itemsize": WALL_THREAD_ROW,
    }
)
"""struct thread_row of threads.h."""

REPORT_DTYPE = np.dtype([("summary", SUMMARY_DTYPE), ("row", THREAD_ROW_DTYPE)])
"""struct thread_report of threads.h."""

Summaries = NDArray[np.void]
Reports = NDArray[np.void]


def from_words(words: NDArray[np.uint64]) -> Summaries:
    """Copy the summaries out of a stream's words."""
    return np.ascontiguousarray(words).reshape(-1).view(SUMMARY_DTYPE)


def reports_from_words(words: NDArray[np.uint64]) -> Reports:
    """Copy the reports out of a stream's words."""
    return np.ascontiguousarray(words).reshape(-1).view(REPORT_DTYPE)


def from_file(fd: int, are_reports: bool) -> tuple[Summaries, Reports]:
    """Read the summaries, and reports if they are, from a file of the supervisor's; close it."""
    with open(fd, "rb") as file:
        content = file.read()
    kind = REPORT_DTYPE if are_reports else SUMMARY_DTYPE
    rows = np.frombuffer(content[: len(content) - len(content) % kind.itemsize], kind)
    return (rows["summary"], rows) if are_reports else (rows, no_reports())


def none() -> Summaries:
    return np.empty(0, SUMMARY_DTYPE)


def no_reports() -> Reports:
    return np.empty(0, REPORT_DTYPE)


def command(comm: bytes) -> str:
    """Return a task's name as text; a process may choose any bytes for it.

    Before 5.17 the kernel left what a longer name had put after the NUL (__set_task_comm()).
    """
    return comm.partition(b"\0")[0].decode(errors="replace")
