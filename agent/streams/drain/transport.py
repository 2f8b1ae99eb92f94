"""The agent's end of the transports: request their buffers, map them, follow CPU hotplug."""

import contextlib
import errno
import logging
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from agent.streams.drain.perf import PerfEvent, PerfReader
from agent.streams.drain.poller import Reader
from agent.streams.drain.ring import RingReader
from agent.streams.drain.wakeups import Wakeups
from agent.streams.shared import limits, refusals
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.channel import Reply, close_all
from agent.streams.shared.messages import Buffer, BuffersAnswer, BuffersRequest, Request

AnswerT = TypeVar("AnswerT")

LOGGER = logging.getLogger("agent.streams")

ONLINE = Path("/sys/devices/system/cpu/online")
FOLLOW_INTERVAL_S = 1.0
"""Interval between checks for new CPUs. What one streams until then is lost, and counted."""

LARGEST_BUFFER = 2 << 20
"""Per CPU: 250,000 events, one second at full load."""
GRANTED_BUFFER = 512 << 10
"""Granted to each CPU by the default perf_event_mlock_kb, regardless of RLIMIT_MEMLOCK."""
RARE_PART = 4
"""The streams that cannot be folded in the kernel have a buffer of this part of the size besides:
at 2 MiB, room for 4,000 exits and 16,000 execs on each CPU."""
SHARED_BYTES = 32 << 20
"""Above this total, buffers are smaller, but no smaller than GRANTED_BUFFER."""


class Asks(Protocol):
    """What the transports need of `agent.streams.drain.client.SupervisorClient`."""

    async def ask(self, request: Request[AnswerT]) -> Reply[AnswerT]: ...


class Transports:
    """The transports; each is mapped when first requested, and stays mapped."""

    def __init__(
        self,
        client: Asks,
        perf_bytes: int | None = None,
        online: Path = ONLINE,
        wakeups: Wakeups | None = None,
    ) -> None:
        self._client = client
        self._ring: RingReader | None = None
        self._perf = PerfReader(wakeups)
        self._perf_bytes = perf_bytes or buffer_size(os.cpu_count() or 1)
        self._opening = trio.Lock()
        self._online = online
        self._online_then = ""

    async def open(self, wanted: str) -> tuple[str, Reader]:
        """Map every buffer of a transport; return its name, with ``auto`` resolved, and reader.

        Call this before programs are attached: what they submit to a buffer that is not mapped
        is lost. Raises CannotCollect.
        """
        async with self._opening:
            try:
                return await self._open(wanted)
            except OSError as error:
                raise refusals.refused("mapping buffers", error) from error

    async def _open(self, wanted: str) -> tuple[str, Reader]:
        self._online_then = self._online_now()
        while True:
            # a mapping keeps its own duplicate of the fd
            with contextlib.ExitStack() as received:
                name, events = await self._offers(wanted, received)
                if name == "ring":
                    assert self._ring is not None
                    return name, self._ring
                try:
                    self._perf.add(events)
                except OSError as error:
                    self._ask_for_less(error)
                else:
                    return name, self._perf

    async def _offers(
        self, wanted: str, received: contextlib.ExitStack
    ) -> tuple[str, list[PerfEvent]]:
        """Return the transport's name, and the perf buffers to be mapped."""
        events: list[PerfEvent] = []
        while True:
            reply = await self._client.ask(
                BuffersRequest(
                    transport=wanted,
                    have=(*self._perf.serials, *(event.serial for event in events)),
                    watermark=self._perf_bytes // 4,
                    rare_watermark=rare_size(self._perf_bytes) // 4,
                )
            )
            if reply.answer.transport == "ring":
                self._map_ring(reply)
                return "ring", []
            received.callback(close_all, reply.fds.values())
            events += [self._event(buffer, reply.fds) for buffer in reply.answer.buffers]
            if not reply.answer.more:
                return "perf", events

    def _event(self, buffer: Buffer, fds: Mapping[str, int]) -> PerfEvent:
        size = rare_size(self._perf_bytes) if buffer.rare else self._perf_bytes
        return PerfEvent(buffer.cpu, buffer.serial, fds[buffer.fd_name], size, buffer.rare)

    async def follow_cpus(self, name: str) -> None:
        """Map the buffers of CPUs that come online, if each has its own, until cancelled."""
        while name == "perf":
            await trio.sleep(FOLLOW_INTERVAL_S)
            if self._online_now() == self._online_then:
                continue
            try:
                await self.open(name)
            except CannotCollect as error:
                LOGGER.warning("events of a CPU that came online are lost: %s", error.message)

    def _online_now(self) -> str:
        """Return the CPUs that are online, or what was last known if that cannot be read."""
        try:
            return self._online.read_text(errors="replace")
        except OSError:
            return self._online_then

    def _ask_for_less(self, error: OSError) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise error  # smaller buffers are as many files
        # all CPUs' buffers have the same size, and those already mapped keep theirs
        if self._perf.serials or self._perf_bytes <= mmap.PAGESIZE:
            if error.errno != errno.EPERM:
                raise error
            detail = f"{self._perf_bytes} bytes per CPU requested: {error.strerror}"
            raise cannot("no_buffer_memory", f"{detail}; {limits.memory_of_perf_buffers()}")
        self._perf_bytes //= 2

    def _map_ring(self, reply: Reply[BuffersAnswer]) -> None:
        if self._ring is None:
            [ring] = reply.answer.buffers
            try:
                self._ring = RingReader(reply.fds[ring.fd_name], reply.answer.ring_bytes)
            except OSError:
                close_all(reply.fds.values())
                raise
        else:
            close_all(reply.fds.values())


def buffer_size(cpus: int) -> int:
    """Return the initial size of each CPU's buffer in bytes; halved until the kernel grants it."""
    size = LARGEST_BUFFER
    while size > GRANTED_BUFFER and size * cpus > SHARED_BYTES:
        size //= 2
    return size


def rare_size(size: int) -> int:
    """Return the size of the second buffer next to one of ``size`` bytes, both powers of two."""
    return max(mmap.PAGESIZE, size // RARE_PART)
