"""The agent's ends of the transports: asks for their buffers, maps them, follows the CPUs."""

import logging
from pathlib import Path
from typing import Any, Protocol

import trio

from agent.streams.causes import CannotCollect, cannot
from agent.streams.client import Reply, close_all
from agent.streams.perf import BUFFER_BYTES, PerfEvent, PerfReader
from agent.streams.poller import Reader
from agent.streams.ring import RingReader

LOGGER = logging.getLogger("agent.streams")

ONLINE = Path("/sys/devices/system/cpu/online")
FOLLOW_INTERVAL_S = 0.5
"""Between two looks at which CPUs run. What a new one streams until then is lost and counted."""


class Asks(Protocol):
    """What is needed of `agent.streams.client.SupervisorClient`."""

    async def ask(self, verb: str, **arguments: Any) -> Reply: ...


class Transports:
    """Each transport is mapped when it is first asked for, and stays mapped."""

    def __init__(self, client: Asks, perf_bytes: int = BUFFER_BYTES, online: Path = ONLINE) -> None:
        self._client = client
        self._ring: RingReader | None = None
        self._perf = PerfReader(perf_bytes)
        self._opening = trio.Lock()
        self._online = online
        self._online_then = ""

    async def open(self, wanted: str) -> tuple[str, Reader]:
        """Have every buffer of a transport mapped; returns its name, ``auto`` decided, and reader.

        To be done before programs are attached: what they submit to a buffer that is not mapped
        is lost. Raises CannotCollect.
        """
        async with self._opening:
            return await self._open(wanted)

    async def _open(self, wanted: str) -> tuple[str, Reader]:
        self._online_then = self._online.read_text()
        events: list[PerfEvent] = []
        try:
            while True:
                have = [*self._perf.serials, *(event.serial for event in events)]
                reply = await self._client.ask("buffers", transport=wanted, have=have)
                if reply.message["transport"] == "ring":
                    return "ring", self._with_ring(reply)
                offers = zip(reply.message["buffers"], reply.fds, strict=True)
                events += [PerfEvent(cpu, serial, fd) for (cpu, serial), fd in offers]
                if not reply.message["more"]:
                    return "perf", self._with_perf(events)
        finally:
            # a mapping keeps a duplicate of its own
            close_all(tuple(event.fd for event in events))

    async def follow_cpus(self, name: str) -> None:
        """Map the buffers of CPUs that come online, where they have their own. Until cancelled."""
        while name == "perf":
            await trio.sleep(FOLLOW_INTERVAL_S)
            if self._online.read_text() == self._online_then:
                continue
            try:
                await self.open(name)
            except CannotCollect as error:
                LOGGER.warning("events of a CPU that came online are lost: %s", error.message)

    def _with_ring(self, reply: Reply) -> RingReader:
        if self._ring is None:
            self._ring = RingReader(reply.fds[0], reply.message["ring_bytes"])
        else:
            close_all(reply.fds)
        return self._ring

    def _with_perf(self, events: list[PerfEvent]) -> PerfReader:
        try:
            self._perf.add(events)
        except OSError as error:
            detail = f"{self._perf.buffer_bytes} bytes a CPU asked for: {error.strerror}"
            raise cannot("no_buffer_memory", detail) from error
        return self._perf
