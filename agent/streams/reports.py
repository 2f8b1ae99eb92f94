"""Records about single tasks: of their exit, and of those alive at the stop."""

import numpy as np
from numpy.typing import NDArray

from agent.streams.layout import REPORT_SIZE

_U64_FIELDS = (
    "now_ns",
    "born_ns",
    "wait_ns",
    "preempted_ns",
    "oncpu_ns",
    "blocked_ns",
    "open_ns",
    "waits",
    "kernel_run_delay",
    "kernel_runtime",
    "kernel_pcount",
    "idle_wait_ns",
)

REPORT_DTYPE = np.dtype(
    {
        "names": ["tid", "tgid", "comm", "state", "kernel_thread", *_U64_FIELDS],
        "formats": ["u4", "u4", "S16", "u4", "u4", *("u8" for _ in _U64_FIELDS)],
        "offsets": [0, 4, 8, 24, 28, *(32 + 8 * i for i in range(len(_U64_FIELDS)))],
        "itemsize": REPORT_SIZE,
    }
)
"""struct task_report of layout.h. Times in ns; kernel_* are the kernel's own accounting."""

Reports = NDArray[np.void]


def from_words(words: NDArray[np.uint64]) -> Reports:
    """The reports in a stream's words; a copy."""
    return np.ascontiguousarray(words).reshape(-1).view(REPORT_DTYPE)


def from_file(fd: int) -> Reports:
    """The reports in a file that the supervisor sent; closes it."""
    with open(fd, "rb") as file:
        content = file.read()
    return np.frombuffer(content[: len(content) - len(content) % REPORT_SIZE], REPORT_DTYPE)


def none() -> Reports:
    return np.empty(0, REPORT_DTYPE)


def command(comm: bytes) -> str:
    """A task's name as text; any process may choose any bytes for it."""
    return comm.decode(errors="replace")
