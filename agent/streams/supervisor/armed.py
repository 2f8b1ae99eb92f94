"""One run's attachments, on the privileged side: closing them is what detaching means."""

import contextlib
import ctypes
import os
import struct
import time

from agent.sections.spec import ITERATOR
from agent.streams.shared import bpf
from agent.streams.shared.machines import this_machine
from agent.streams.shared.messages import ProgramStats
from agent.streams.supervisor.compilation import Built

MEMBARRIER_CMD_GLOBAL = 1
GRACE_WITHOUT_MEMBARRIER_S = 0.05

CLOCK_SAMPLES = 3
CLOCK_PAUSE_S = 0.0005
"""Long enough to be switched out."""

MAX_PASSES = 8
"""A pass that adds no member ends the search; each finds children that a fork storm hid."""


class Armed:
    """Attached programs; everything stays attached for as long as this process lives."""

    def __init__(self, built: Built) -> None:
        self.built = built
        self.refused: dict[str, str] = {}
        self._links: list[int] = []
        self._stats_fd: int | None = None
        self._measures = False
        self._before = {fd: bpf.program_info(fd) for _, _, fd in self._attachable()}

    def attach(self, measure_probes: bool) -> None:
        """Attach every program; a refusal costs the sections that need it, no more."""
        if measure_probes:
            # refused without CAP_SYS_ADMIN: the run goes on, and what is not measured is absent
            with contextlib.suppress(OSError):
                self._stats_fd = bpf.enable_run_time_stats()
                self._measures = True
        for _, hook, fd in self._attachable():
            try:
                self._links.append(bpf.attach_raw_tracepoint(fd))
            except OSError as error:
                self.refused[hook] = str(error.strerror)

    def clock_offset(self) -> int:
        """rq_clock - CLOCK_MONOTONIC in ns, where this run is timed by the kernel's accounting.

        We were last switched in at a time of the former; the iterator reads the latter a moment
        later. The largest of a few differences had the shortest moment.
        """
        if not self._has("clock"):
            return 0
        offsets = []
        for _ in range(CLOCK_SAMPLES):
            time.sleep(CLOCK_PAUSE_S)
            offsets.append(struct.unpack("=q", bpf.run_iterator(self._iterator("clock")))[0])
        return int(max(offsets))

    def prime(self) -> int:
        """Find the members and note what every task is doing; returns how many were found."""
        found = 0
        for _ in range(MAX_PASSES):
            # the iterator writes a byte for each task whose membership it changed
            changed = len(bpf.run_iterator(self._iterator("prime")))
            found += changed
            if changed == 0:
                break
        return found

    def summarize(self) -> bytes:
        """struct task_summary of every task in scope that is alive."""
        return bpf.run_iterator(self._iterator("summary"))

    def detach(self) -> None:
        while self._links:
            os.close(self._links.pop())
        if self._stats_fd is not None:
            os.close(self._stats_fd)
            self._stats_fd = None

    def program_stats(self) -> list[ProgramStats]:
        """Since the start: runs skipped by recursion; runs and ns where the kernel counted them."""
        stats = []
        for name, hook, fd in self._attachable():
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
    """Return once no program that was attached before can still be running.

    Detaching does not wait. MEMBARRIER_CMD_GLOBAL is a synchronize_rcu() (kernel/sched/
    membarrier.c), and tracepoint programs run inside an RCU read section.
    """
    machine = this_machine()
    libc = ctypes.CDLL(None, use_errno=True)
    if machine is None or libc.syscall(machine.membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0:
        time.sleep(GRACE_WITHOUT_MEMBARRIER_S)
