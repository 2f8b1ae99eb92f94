"""What collecting cost: CPU time of the agent's processes, and their waits. Reads /proc."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.streams.shared.namespaces import proc_is_ours

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float | None:
    """Return the CPU time of a process's main thread and ended children in ms; None if not known.

    That is if the process is gone, or if /proc would show another one under its number. The
    thread's part comes from schedstat (ns; proc(5)), because ticks are too coarse for what an agent
    uses in a short run.
    """
    if not proc_is_ours():
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        exact = _schedstat(pid)[0] / 1e6
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    children = (int(fields[13]) + int(fields[14])) * TICK_MS
    return exact + children


def run_delay_ms(pid: int) -> float | None:
    """Return how long a process's main thread has waited for a CPU, in ms; None if not known."""
    if not proc_is_ours():
        return None
    try:
        return _schedstat(pid)[1] / 1e6
    except OSError:
        return None


def _schedstat(pid: int) -> list[int]:
    """Return time on a CPU and waiting for one in ns, and the number of turns."""
    return [int(field) for field in Path(f"/proc/{pid}/schedstat").read_text().split()]


MEASURED = {"cpu_ms": cpu_ms, "run_delay_ms": run_delay_ms}


class CpuMeter:
    """CPU time of a fixed set of processes since the meter was created, and their waits for it."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._before = {
            (role, pid): {name: measure(pid) for name, measure in MEASURED.items()}
            for role, pid in processes.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per process: role, pid, cpu_ms, run_delay_ms (None once it is gone)."""
        return [
            {"role": role, "pid": pid}
            | {name: _difference(measure(pid), before[name]) for name, measure in MEASURED.items()}
            for (role, pid), before in self._before.items()
        ]


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 3)
