"""A collector in the test's own process, connected to a real supervisor.

The test chooses the buffers' sizes and decides which CPUs are online.
"""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import trio
from fakes.program import PROGRAMS

from agent.model import Scope, StartRequest
from agent.streams.collect.collector import KernelCollector
from agent.streams.collect.observed import Arming
from agent.streams.drain.batches import Words
from agent.streams.drain.client import SupervisorClient
from agent.streams.drain.folded import Growth
from agent.streams.drain.transport import GRANTED_BUFFER, Transports
from agent.streams.drain.wakeups import Wakeups
from agent.streams.shared import channel
from agent.streams.shared.channel import Reply
from agent.streams.shared.layout import LATENCY_BITS, RING_SIZES, STREAM_RUNQLAT, TID_BITS
from agent.streams.shared.messages import Request
from agent.streams.shared.plan import Plan

AnswerT = TypeVar("AnswerT")


class KeepingClient:
    """A client that forwards every request and keeps duplicates of the buffers' fds.

    With these a test can break a buffer.
    """

    def __init__(self, client: SupervisorClient) -> None:
        self._client = client
        self.fds: list[int] = []
        self.offered = trio.Event()
        """Set when more buffers arrive; a test that waits for the next ones replaces it first."""

    async def ask(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        reply = await self._client.ask(request)
        if reply.fds:
            self.fds += map(os.dup, reply.fds.values())
            self.offered.set()
        return reply


@dataclass
class Collecting:
    collector: KernelCollector
    client: KeepingClient
    online: Path
    waits: Counter[int] = field(default_factory=Counter)
    """Number of run-queue latencies received, by thread id."""
    folded: int = 0
    """Number of run-queue latencies that the kernel side folded."""
    others: Counter[int] = field(default_factory=Counter)
    """Number of words of other streams."""
    folding_s: float = 0.0
    """How long the sink takes for each block of events; the event loop is blocked for that time."""

    async def start(
        self, pid: int, transport: str, sections: tuple[str, ...] = ("runqlat",)
    ) -> Arming:
        """Start a run of one process tree."""
        self.waits.clear()
        self.others.clear()
        self.folded = 0
        request = StartRequest(sections=sections, scope=Scope("pid", pid=pid), transport=transport)
        return await self.collector.start(request, self)

    def take(self, stream: int, words: Words) -> None:
        if stream != STREAM_RUNQLAT:
            self.others[stream] += words.size
            return
        tids = words >> np.uint64(LATENCY_BITS) & np.uint64((1 << TID_BITS) - 1)
        self.waits.update(tids.ravel().tolist())
        time.sleep(self.folding_s)

    def take_folded(self, stream: int, growths: Sequence[Growth]) -> None:
        assert stream == STREAM_RUNQLAT
        self.folded += growths[0].events

    def is_snapshot_due(self) -> bool:
        return False

    def snapshot(self, events: int, lost: int) -> None:
        raise AssertionError("not due")


@asynccontextmanager
async def collecting(
    folder: Path,
    *,
    ring_bytes: int = RING_SIZES[0],
    perf_bytes: int = GRANTED_BUFFER,
    without_ring: bool = False,
    wakeups: Wakeups | None = None,
) -> AsyncIterator[Collecting]:
    online = folder / "online"
    further = ["without-ring"] if without_ring else []
    process, channel = _supervisor(online, str(ring_bytes), str(online), *further)
    client = SupervisorClient(channel, process.pid)
    keeping = KeepingClient(client)
    transports = Transports(keeping, perf_bytes, online, wakeups)
    collector = KernelCollector(client, Plan(), transports)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(collector.run)
            yield Collecting(collector, keeping, online)
            nursery.cancel_scope.cancel()
    finally:
        for fd in keeping.fds:
            os.close(fd)
        # the supervisor exits once the channel is closed
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.wait)


def _supervisor(online: Path, *arguments: str) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    online.write_text(Path("/sys/devices/system/cpu/online").read_text())
    ours, theirs = channel.pair()
    command = [sys.executable, "-P", str(PROGRAMS / "supervisor.py"), str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen([*command, *arguments], pass_fds=[theirs.fileno()])
    return process, ours
