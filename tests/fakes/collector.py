"""A collector without a kernel: the test supplies its events and can block it with hooks."""

import os
from collections.abc import Awaitable, Callable

import numpy as np
import trio

from agent.model import TREES, StartRequest
from agent.sections.probes import PROBES
from agent.streams.collect import task_summaries
from agent.streams.collect.observed import Arming, Observed, Stopped, StreamCounts
from agent.streams.collect.tables import Blocked
from agent.streams.drain.poller import Receiver
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.kernel_counts import Edge, KernelCounts
from agent.streams.shared.layout import (
    COUNTER_FIELDS,
    REASONS,
    STREAM_NAMES,
    STREAM_RUNQLAT,
    machine_geometry,
)
from agent.streams.shared.support import Support

GEOMETRY = machine_geometry(1, 1_024)
EDGE = Edge(KernelCounts(), 0, 0, 0, "0-1")


def stopped_with(observed: Observed) -> Stopped:
    """Return the result of a one-second run in which ``observed`` was collected."""
    return Stopped(10**9, observed, (EDGE, EDGE), task_summaries.none())


async def at_once() -> None:
    """Execute one checkpoint, as any real work would: the default hook."""
    await trio.lowlevel.checkpoint()


class FakeCollector:
    """A collector with hooks.

    Set ``preparing``, ``arming``, ``refreshing`` or ``stopping`` to a coroutine function that
    waits or raises. Set ``lost`` to simulate an agent that lost its supervisor.
    """

    def __init__(self) -> None:
        self.lost = trio.Event()
        self.preparing: Callable[[], Awaitable[None]] = at_once
        self.arming: Callable[[], Awaitable[None]] = at_once
        self.refreshing: Callable[[], Awaitable[None]] = at_once
        self.stopping: Callable[[], Awaitable[None]] = at_once
        self.calls: list[str] = []
        self.faults: dict[str, str] = {}
        """Faults that occur during every run."""
        self.unavailable: dict[str, str] = {}
        self.timing = "clock"
        self.edges = EDGE, EDGE
        self.pids = {"agent": os.getpid()}
        self.tree_ended_ns: int | None = None
        """When the last task exited, if it has, of any run about a tree."""
        self._has_tree = False
        self._receiver: Receiver | None = None
        self._in_flight: list[int] = []
        self._received = 0

    def happen(self, *waits_ns: int) -> None:
        """Put run-queue waits into the kernel's buffers, where they stay until the next drain."""
        assert self._receiver is not None, "nothing is attached"
        self._in_flight += waits_ns

    async def prepare(self) -> None:
        self.calls.append("prepare")
        await self.preparing()

    async def start(self, request: StartRequest, receiver: Receiver, run_id: str = "") -> Arming:
        self.calls.append("start")
        await self.arming()
        if self.lost.is_set():
            raise CannotCollect("gone", code="supervisor_lost")
        self._receiver, self._received, self._in_flight = receiver, 0, []
        self._has_tree = request.scope.kind in TREES
        armed = [s for s in request.sections if s not in self.unavailable]
        return Arming(
            start_ns=0,
            hooks=dict.fromkeys(armed, ("fake",)),
            unavailable=self.unavailable,
            transport="ring",
            timing=self.timing,
            scope={"kind": request.scope.kind},
            versions={},
        )

    def tree_has_ended(self) -> bool:
        return self._receiver is not None and self._tree_ended_ns() is not None

    async def refresh(self) -> Observed:
        self.calls.append("refresh")
        await self.refreshing()
        self._drain()
        return self._observed()

    async def so_far(self) -> Stopped:
        self.calls.append("so_far")
        await self.refreshing()
        self._drain()
        return stopped_with(self._observed())

    async def stop(self) -> Stopped:
        self.calls.append("stop")
        await self.stopping()
        self._drain()
        self._receiver = None
        faults = {**self.faults, **({"supervisor_lost": "gone"} if self.lost.is_set() else {})}
        return Stopped(
            10**9,
            self._observed(),
            self.edges,
            task_summaries.none(),
            (),
            faults,
            tree_ended_ns=self._tree_ended_ns(),
        )

    async def abandon(self) -> None:
        self.calls.append("abandon")
        self._receiver = None

    def support(self) -> tuple[Support, ...]:
        return (Support("kernel_addresses", "wait_functions", "", False, reason="hidden"),)

    def processes(self) -> dict[str, int]:
        return self.pids

    def _tree_ended_ns(self) -> int | None:
        return self.tree_ended_ns if self._has_tree else None

    def _drain(self) -> None:
        # a refresh that ends after the stop finds nothing: the kernel side is detached
        if self._receiver is None:
            return
        words = np.array(self._in_flight, np.uint64)
        self._in_flight = []
        self._received += len(words)
        self._receiver.take(STREAM_RUNQLAT, words)

    def _observed(self) -> Observed:
        return Observed(
            blocked=Blocked(np.zeros((2, REASONS), np.uint64), np.zeros((2, REASONS), np.uint64)),
            syscalls={"futex": self._received},
            streams=self._streams(),
            blocked_counts=StreamCounts(),
            counters=dict.fromkeys(COUNTER_FIELDS, 0),
            drains=1,
            drain_seconds=0.0,
            tables={
                table.name: bytes(table.size(GEOMETRY))
                for probe in PROBES
                for tables in (probe.tables, *(detail.tables for detail in probe.details))
                for table in tables
            },
        )

    def _streams(self) -> dict[str, StreamCounts]:
        streams = dict.fromkeys(STREAM_NAMES, StreamCounts())
        return streams | {"runqlat": StreamCounts(self._received, self._received)}


def raising(error: Exception) -> Callable[[], Awaitable[None]]:
    """Return a hook that raises ``error``."""

    async def hook() -> None:
        await trio.lowlevel.checkpoint()
        raise error

    return hook
