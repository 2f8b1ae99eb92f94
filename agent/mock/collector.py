"""The collector of ``--mock``: a synthetic machine in the kernel's place, read as a real one is."""

import os
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import trio
from numpy.random import SeedSequence

from agent.mock.batches import Batches
from agent.mock.machine import CPUS, ONLINE, Machine
from agent.mock.memory import Ring, Tables
from agent.mock.scripts import script_of
from agent.model import Scope, StartRequest
from agent.streams.collect.observed import Arming, Observed, Stopped
from agent.streams.collect.observer import Mapped, Observer
from agent.streams.collect.running import Running
from agent.streams.drain.poller import Drain, Receiver
from agent.streams.shared.kernel_counts import Edge, SectionCounts
from agent.streams.shared.layout import RING_SIZES, STREAM_RUNQLAT, machine_geometry
from agent.streams.shared.messages import DisarmAnswer
from agent.streams.shared.plan import Plan
from agent.streams.shared.support import Support

SLOTS = 32_768
STEP_NS = 100_000_000
"""Of synthetic time. What is written in it takes less than 1 % of the ring, and may be drained
before the next step."""
INTERVAL_S = 0.2
SYNTHETIC = "mock"
"""In place of what a run is attached to, and of the transport."""
NO_DETAILS = "--mock has no details"


class MockCollector:
    """One run at a time, like `agent.streams.collect.collector.KernelCollector`."""

    def __init__(
        self, seed: int, timing: str = "clock", clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """``seed``: a run's events follow from it, and from how many runs there were before.

        Raises OSError if temporary files cannot be made.
        """
        self.lost = trio.Event()
        """Never set: there is no other process to lose."""
        self._seed = seed
        self._timing = timing
        self._clock_ns = clock_ns
        geometry = machine_geometry(CPUS, SLOTS, RING_SIZES[-1])
        self._tables = Tables(geometry)
        self._ring = Ring(geometry.ring_bytes)
        self._reader = self._ring.reader()
        self._mapped = Mapped(geometry, self._tables.fds)
        self._runs = 0
        self._nursery: trio.Nursery | None = None
        self._machine: Machine | None = None
        self._running: Running | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; the collector cannot be used after that."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._tables.close()
            self._ring.close()

    async def prepare(self) -> None:
        """Do nothing: there is nothing to compile."""

    async def start(self, request: StartRequest, receiver: Receiver, run_id: str = "") -> Arming:
        """Begin to feed the receiver."""
        await trio.lowlevel.checkpoint()
        scoped = request.scope.kind != "system"
        plan = Plan(request.sections, scoped, request.timing or self._timing).possible()
        self._tables.reset()
        self._reader.discard()
        start_ns = self._clock_ns()
        machine = self._machine = Machine(
            self._tables,
            Batches(self._tables, self._ring),
            plan.sections,
            scoped,
            script_of(request.labels),
            SeedSequence([self._seed, self._runs]),
            start_ns,
        )
        self._runs += 1
        observer = MockObserver(self._mapped, plan, machine)
        drain = Drain(self._reader, observer.batches, self._mapped.folded(), receiver)
        began = observer.edge().with_outer(machine.section_counts())
        running = self._running = Running(observer, drain, began)
        assert self._nursery is not None
        self._nursery.start_soon(running.work, self._pass_time)
        return Arming(
            start_ns=start_ns,
            hooks=MappingProxyType(dict.fromkeys(plan.sections, (SYNTHETIC,))),
            unavailable=MappingProxyType(dict.fromkeys(request.details, NO_DETAILS)),
            transport=SYNTHETIC,
            timing=plan.timing,
            scope=MappingProxyType(_described(request.scope)),
            versions=MappingProxyType({}),
            no_wall=NO_DETAILS,
        )

    def tree_has_ended(self) -> bool:
        """Return False: a scope is taken as requested, and nobody has looked who is in it."""
        return False

    async def refresh(self) -> Observed:
        """Fold and return everything up to now."""
        await self._catch_up()
        return await self._current().observed()

    async def so_far(self) -> Stopped:
        """Return what a stop would, of a run that goes on."""
        await self._catch_up()
        return await self._current().so_far()

    async def stop(self) -> Stopped:
        """End the run and take the rest."""
        running, machine = self._current(), self._machine
        assert machine is not None
        await self._catch_up()
        ended, throttling = running.observer.edge(), running.throttling()
        answer = DisarmAnswer(machine.now_ns, kernel_counts=machine.section_counts())
        running.cancel()
        stopped = await running.stopped(ended, throttling, answer, machine.summaries())
        self._running = self._machine = None
        return stopped

    async def abandon(self) -> None:
        """Forget the run, whatever state it is in."""
        await trio.lowlevel.checkpoint()
        if self._running is not None:
            self._running.abandon()
        self._running = self._machine = None

    def support(self) -> tuple[Support, ...]:
        """Return nothing: no feature of this machine is asked for."""
        return ()

    def processes(self) -> dict[str, int]:
        """Return the only process there is."""
        return {"agent": os.getpid()}

    async def _pass_time(self) -> None:
        while True:
            await trio.sleep(INTERVAL_S)
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Have the synthetic machine do everything up to now.

        In between, other tasks may drain what it wrote: after this process was stopped for a while,
        that is more than the ring holds.
        """
        now_ns = self._clock_ns()
        while (machine := self._machine) is not None and machine.now_ns < now_ns:
            machine.advance(min(now_ns, machine.now_ns + STEP_NS))
            await trio.lowlevel.checkpoint()

    def _current(self) -> Running:
        if self._running is None:
            raise RuntimeError("no run is in progress")
        return self._running


class MockObserver(Observer):
    """An observer whose clock and whose kernel's counts are a synthetic machine's."""

    def __init__(self, mapped: Mapped, plan: Plan, machine: Machine) -> None:
        super().__init__(mapped, plan, (), {})
        self._machine = machine

    def now_ns(self) -> int:
        return self._machine.now_ns

    def edge(self) -> Edge:
        """Read the counts at one edge of the run; between two steps no time passes."""
        kernel = self._machine.kernel_counts()
        return Edge(
            kernel=kernel,
            switches=self.batches.seen(STREAM_RUNQLAT),
            forks=self.tables.count("all_forks"),
            suspended_ns=0,
            online_cpus=ONLINE,
            sections=self._machine.section_counts(),
            later=kernel,
        )

    def counts_at_once(self) -> SectionCounts:
        """Return nothing: an edge has all counts."""
        return {}


def _described(scope: Scope) -> dict[str, Any]:
    """Return the scope as requested, whether or not there is such a process or cgroup."""
    described: dict[str, Any] = {"kind": scope.kind}
    if scope.kind == "pid":
        described["pid"] = scope.pid
    if scope.kind == "cgroup":
        described["cgroup"] = scope.cgroup
    return described
