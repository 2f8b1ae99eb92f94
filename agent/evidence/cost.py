"""What collecting cost: CPU time of the agent's processes, and their waits. Reads /proc."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.streams.shared.namespaces import proc_is_ours

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


def cost_of(pid: int) -> Cost:
    """Return what the process has cost so far.

    The main thread's part comes from schedstat (ns; proc(5)), because ticks are too coarse for what
    an agent uses in a short run.
    """
    if not proc_is_ours():
        return Cost()
    try:
        stat, schedstat = (
            Path(f"/proc/{pid}/{name}").read_text() for name in ("stat", "schedstat")
        )
        fields = stat[stat.rindex(")") + 2 :].split()
        children = (int(fields[13]) + int(fields[14])) * TICK_MS
        ran, waited = (int(ns) / 1e6 for ns in schedstat.split()[:2])
    except (OSError, ValueError, IndexError):  # or something else is mounted over it
        return Cost()
    return Cost(ran + children, waited)


class CpuMeter:
    """CPU time of a fixed set of processes since the meter was created, and their waits for it."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._before = {(role, pid): cost_of(pid) for role, pid in processes.items()}

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per process: role, pid, cpu_ms, run_delay_ms (None once it is gone)."""
        return [_row(role, pid, before) for (role, pid), before in self._before.items()]


def _row(role: str, pid: int, before: Cost) -> dict[str, Any]:
    now = cost_of(pid)
    return {
        "role": role,
        "pid": pid,
        "cpu_ms": _difference(now.cpu_ms, before.cpu_ms),
        "run_delay_ms": _difference(now.run_delay_ms, before.run_delay_ms),
    }


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 3)
