"""Task summaries as the kernel side would write them."""

from typing import Any

import numpy as np

from agent.sections.offcpu.layout import WALL_THREAD_SHIFT
from agent.streams.collect.task_summaries import REPORT_DTYPE, SUMMARY_DTYPE, Reports, Summaries
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


def reports(*rows: dict[str, Any]) -> Reports:
    """Return a report for each row: fields of the summary, and of the thread's row."""
    made = np.zeros(len(rows), REPORT_DTYPE)
    for report, given in zip(made, rows, strict=True):
        changes = dict(given)
        row = report["row"]
        row["began_ns"] = changes.pop("began_ns", 1)
        row["stopped_ns"] = changes.pop("stopped_ns", 0)
        blocked = changes.pop("blocked", {})
        for place, (reason, ns) in enumerate(blocked.items()):
            row["blocked"][place] = reason + 1 << WALL_THREAD_SHIFT | ns
        row["tid"] = changes.pop("row_tid", changes.get("tid", GOOD["tid"]))
        report["summary"] = summaries(changes)[0]
    return made
