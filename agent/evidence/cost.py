"""What collecting cost: CPU time of the agent's processes, and their waits. Reads /proc."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agent import small_files
from agent.streams.shared.namespaces import proc_is_ours

FILES = ("stat", "schedstat")
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process has cost so far; None where that is not known.

    That is if the process is gone, if /proc would show another one under its number, or if its
    files hold something else.
    """

    cpu_ms: float | None = None
    """CPU time of its main thread and ended children."""
    run_delay_ms: float | None = None
    """How long its main thread has waited for a CPU."""


def costs_of(pids: Collection[int]) -> dict[int, Cost]:
    """Return what these processes have cost so far."""
    is_ours = bool(pids) and proc_is_ours()
    return {pid: _cost_of(pid) if is_ours else Cost() for pid in pids}


def _cost_of(pid: int) -> Cost:
    """Read it: the main thread's part from schedstat (ns; proc(5)), because ticks are too coarse
    for what an agent uses in a short run."""
    try:
        stat, schedstat = (small_files.read(f"/proc/{pid}/{name}") for name in FILES)
        fields = stat[stat.rindex(b")") + 2 :].split()
        children = (int(fields[13]) + int(fields[14])) * TICK_MS
        ran, waited = (int(ns) / 1e6 for ns in schedstat.split()[:2])
    except (OSError, ValueError, IndexError):  # or something else is mounted over it
        return Cost()
    return Cost(ran + children, waited)


class CpuMeter:
    """CPU time of a fixed set of processes since the meter was created, and their waits for it."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = processes
        self._before = costs_of(processes.values())

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per process: role, pid, cpu_ms, run_delay_ms (None once it is gone)."""
        now = costs_of(self._processes.values())
        return [
            _row(role, pid, self._before[pid], now[pid]) for role, pid in self._processes.items()
        ]


def _row(role: str, pid: int, before: Cost, now: Cost) -> dict[str, Any]:
    return {
        "role": role,
        "pid": pid,
        "cpu_ms": _difference(now.cpu_ms, before.cpu_ms),
        "run_delay_ms": _difference(now.run_delay_ms, before.run_delay_ms),
    }


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 3)
