"""Task summaries as the kernel side would write them."""

from typing import Any

import numpy as np

from agent.streams.collect.task_summaries import SUMMARY_DTYPE, Summaries
from agent.streams.shared.layout import SLOT_EXITED

LIFE_NS = 10_000_000

GOOD = {
    "tid": 7,
    "local_tid": 7,
    "comm": b"python3",
    "state": SLOT_EXITED,
    "now_ns": LIFE_NS + 1,
    "born_ns": 1,
    "wait_ns": 2_000_000,
    "oncpu_ns": 3_000_000,
    "blocked_ns": 5_000_000,
    "waits": 10,
    "kernel_run_delay": 2_000_000,
    "kernel_runtime": 3_000_000,
    "kernel_pcount": 10,
}
"""A task whose times all agree with the kernel's figures and add up to its lifetime."""


def summaries(*rows: dict[str, Any]) -> Summaries:
    """Return one summary per row; a row lists the fields that differ from GOOD."""
    made = np.zeros(len(rows), SUMMARY_DTYPE)
    for row, changes in zip(made, rows, strict=True):
        for name, value in {**GOOD, **changes}.items():
            row[name] = value
    return made
