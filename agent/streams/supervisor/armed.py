"""One run's attachments, on the privileged side. Closing their fds detaches them."""

import contextlib
import ctypes
import os
import struct
import time
from typing import NamedTuple

from agent.sections.offcpu.layout import (
    WALL_BEGUN,
    WALL_ENDED,
    WALL_FIELD_MASK,
    WALL_FIELD_SHIFT,
    WALL_RUNNABLE,
)
from agent.sections.spec import ITERATOR
from agent.streams.shared import bpf, privileges, refusals
from agent.streams.shared.machines import this_machine
from agent.streams.shared.messages import ProgramStats
from agent.streams.shared.support import Feature, Missing
from agent.streams.supervisor.compilation import Built
from agent.streams.supervisor.identities import Identity, identify

MEMBARRIER_CMD_GLOBAL = 1
GRACE_WITHOUT_MEMBARRIER_S = 0.05

CLOCK_SAMPLES = 3
CLOCK_PAUSE_S = 0.0005
"""Long enough for this process to be switched out."""

WALL_ATTEMPTS = 8
"""A change of the phase is given up where other CPUs change the same word all the time."""
WALL_LOOKS = 10
"""A task is in the middle of a switch for a microsecond, in which it does not seem to do what it
does: only one that is found so each time does something else."""

MAX_PASSES = 8
"""The search for members ends with a pass that finds no new one. A fork storm can hide children
from one pass; a later one finds them."""

# once: each CDLL has a class of its own, which only the cyclic garbage collector frees, and it
# seldom runs in a process that makes as few objects as this one
_libc = ctypes.CDLL(None, use_errno=True)


def _may_time_programs() -> None:
    # whether the kernel agrees is not tried: that would have it patch its code on every CPU
    if not privileges.effective_capabilities() >> privileges.CAP_SYS_ADMIN & 1:
        raise Missing("to time programs, the kernel requires CAP_SYS_ADMIN: grant it to the agent.")


PROGRAM_TIMES = Feature("program_times", _may_time_programs, "measure_probes", "5.8")


class WallLook(NamedTuple):
    """Tasks that clearly do something else than the wall time has them do."""

    contradicted: int
    arrivals: int
    """Others, which are on a CPU while it counts them as waiting: their arrival went unseen."""

    @classmethod
    def of(cls, units: set[int]) -> "WallLook":
        """Tell them apart by their units (wall_units.h)."""
        fields = [unit >> WALL_FIELD_SHIFT & WALL_FIELD_MASK for unit in units]
        arrivals = fields.count(WALL_RUNNABLE)
        return cls(len(fields) - arrivals, arrivals)


class Armed:
    """One run's programs. They stay attached until ``detach`` or until this process exits."""

    def __init__(self, built: Built) -> None:
        self.built = built
        self.refused: dict[str, str] = {}
        self._links: list[int] = []
        self._stats_fd: int | None = None
        self._measures = False
        self._before = {fd: bpf.program_info(fd) for _, _, fd in self._attachable()}

    def attach(self, measure_probes: bool) -> None:
        """Attach every program. A refusal costs the sections that need the program, not the run."""
        if measure_probes and PROGRAM_TIMES.support().supported:
            # if it is refused, the run continues without these measurements
            with contextlib.suppress(OSError):
                self._stats_fd = bpf.enable_run_time_stats()
                self._measures = True
        for _, hook, fd in self._attachable():
            try:
                self._links.append(bpf.attach_raw_tracepoint(fd))
            except OSError as error:
                self.refused[hook] = refusals.in_short(error)

    def clock_offset(self) -> int:
        """Return rq_clock - CLOCK_MONOTONIC in ns; 0 unless the kernel's accounting times this run.

        The time of our last switch-in is known by rq_clock; the iterator reads CLOCK_MONOTONIC a
        moment later. The largest of several differences had the shortest delay.
        """
        if not self._has("clock"):
            return 0
        offsets = []
        for _ in range(CLOCK_SAMPLES):
            time.sleep(CLOCK_PAUSE_S)
            offsets.append(struct.unpack("=q", bpf.run_iterator(self._iterator("clock")))[0])
        return int(max(offsets))

    def identify(self, number: int) -> Identity | None:
        """Return the task with this number in our pid namespace, or None."""
        return identify(self._iterator("identify"), number)

    def prime(self) -> int:
        """Find the members, note what every task is doing, and return how many were found."""
        found = 0
        for _ in range(MAX_PASSES):
            # the iterator writes a byte for each task whose membership it changed
            changed = len(bpf.run_iterator(self._iterator("prime")))
            found += changed
            if changed == 0:
                break
        return found

    def measures_wall(self) -> bool:
        """Return whether the programs measure where the wall time goes."""
        return self._has("wall")

    def begin_wall(self) -> None:
        """Begin the wall time of a run that has one: the members are known."""
        self._turn_wall(WALL_BEGUN)

    def end_wall(self) -> None:
        """End it, unless it has ended already."""
        self._turn_wall(WALL_ENDED)

    def look_at_wall(self) -> WallLook | None:
        """Compare what tasks do with what the wall time has them do; None if there is none."""
        if not self.measures_wall():
            return None
        found = self._contradicted()
        for _ in range(WALL_LOOKS - 1):
            if not found:
                break
            found &= self._contradicted()
        return WallLook.of(found)

    def _turn_wall(self, wanted: int) -> None:
        if not self.measures_wall():
            return
        for _ in range(WALL_ATTEMPTS):
            # the iterator writes the phase after the last task, whichever tasks it visits
            if bpf.run_iterator(self._iterator("wall"), os.getpid())[-1:] == bytes([wanted]):
                return

    def _contradicted(self) -> set[int]:
        found = bpf.run_iterator(self._iterator("wall_units"))
        return {unit for (unit,) in struct.iter_unpack("=Q", found)}

    def summarize(self) -> bytes:
        """Return a struct task_summary for each living task in scope."""
        return bpf.run_iterator(self._iterator("summary"))

    def detach(self) -> None:
        while self._links:
            os.close(self._links.pop())
        if self._stats_fd is not None:
            os.close(self._stats_fd)
            self._stats_fd = None

    def program_stats(self) -> list[ProgramStats]:
        """Return each attached program's recursion misses since the start.

        Runs and ns only if measured. A program that was refused has seen nothing, and missed all.
        """
        stats = []
        for name, hook, fd in self._attachable():
            if hook in self.refused:
                continue
            now, before = bpf.program_info(fd), self._before[fd]
            stats.append(
                ProgramStats(
                    name,
                    hook,
                    runs=now.run_cnt - before.run_cnt if self._measures else None,
                    run_ns=now.run_time_ns - before.run_time_ns if self._measures else None,
                    recursion_misses=now.recursion_misses - before.recursion_misses,
                )
            )
        return stats

    def _attachable(self) -> list[tuple[str, str, int]]:
        return [p for p in self.built.programs if not p[1].startswith(ITERATOR)]

    def _iterator(self, what: str) -> int:
        hook = f"{ITERATOR}/{what}"
        return next(fd for _, found, fd in self.built.programs if found == hook)

    def _has(self, what: str) -> bool:
        return any(hook == f"{ITERATOR}/{what}" for _, hook, _ in self.built.programs)


def wait_for_running_programs() -> None:
    """Wait until no program that was attached before can still be running.

    Detaching does not wait. MEMBARRIER_CMD_GLOBAL is a synchronize_rcu() (kernel/sched/
    membarrier.c), and tracepoint programs run inside an RCU read-side critical section, in which
    since 7.0 they may be preempted (__bpf_trace_run() in kernel/trace/bpf_trace.c). There a task
    that was preempted between reaching the tracepoint and that section, a moment of some
    nanoseconds, is not waited for: its one event is neither in this run nor reported as lost. The
    next run attaches only after it (tp_rcu_cond_sync() in kernel/tracepoint.c).
    """
    machine = this_machine()
    if machine is None or _libc.syscall(machine.membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0:
        time.sleep(GRACE_WITHOUT_MEMBARRIER_S)
