"""The kernel side of both transports, created on first use. Privileged side."""

import errno
import os
from collections.abc import Callable, Collection
from typing import NamedTuple

from agent.streams.shared import bpf, causes
from agent.streams.shared.layout import Geometry
from agent.streams.supervisor.perf_events import OutputEvents, online_cpus

ALL_CPUS = -1
"""The ``cpu`` of the ring, which all CPUs share."""


class Buffer(NamedTuple):
    """One buffer that the agent maps."""

    cpu: int
    serial: int
    fd: int


class Buffers:
    """The maps of both transports. A run uses one of them."""

    def __init__(self, geometry: Geometry, online: Callable[[], list[int]] = online_cpus) -> None:
        self._geometry = geometry
        self._online = online
        self._maps: dict[str, int] = {}
        self._outputs: OutputEvents | None = None
        self._counting = False
        self._refused_before = 0

    def chosen(self, wanted: str) -> str:
        """Return ``ring`` or ``perf``. For ``auto``, try to create a ring and fall back to perf.

        Raises CannotCollect if the kernel has ring buffers but refuses to create one.
        """
        if wanted != "auto":
            return wanted
        try:
            self._create("ring")
        except OSError as error:
            # what the kernel returns for an unknown map type (find_and_alloc_map)
            if error.errno == errno.EINVAL:
                return "perf"
            raise causes.refused("creating a ring buffer", error) from error
        return "ring"

    def events_fd(self, transport: str) -> int:
        """Return the fd of the map that programs write to. Raises CannotCollect."""
        try:
            return self._create(transport)
        except OSError as error:
            raise causes.refused(f"creating a {transport} buffer", error) from error

    def offered(self, transport: str, have: Collection[int], watermark: int) -> list[Buffer]:
        """Return the current buffers, except those with a serial in ``have``. Raises CannotCollect.

        A perf buffer's reader is woken each time ``watermark`` bytes have been written.
        """
        fd = self.events_fd(transport)
        if transport == "ring":
            buffers = [Buffer(ALL_CPUS, 0, fd)]
        else:
            events = self._perf_outputs(fd).renew(watermark)
            buffers = [Buffer(event.cpu, event.serial, event.fd) for event in events]
        return [buffer for buffer in buffers if buffer.serial not in have]

    def begin(self, transport: str) -> None:
        """Start counting for a new run."""
        self._counting = transport == "perf"
        self._refused_before = self._refused() or 0

    def refused(self) -> int | None:
        """Return this run's submits that found no room; None if the kernel does not count them."""
        refused = self._refused()
        return None if refused is None else refused - self._refused_before

    def close(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
        for fd in self._maps.values():
            os.close(fd)
        self._maps.clear()

    def _refused(self) -> int | None:
        return self._outputs.refused() if self._counting and self._outputs else None

    def _create(self, transport: str) -> int:
        if transport not in self._maps:
            if transport == "ring":
                fd = bpf.create_map(
                    "cba_events", bpf.MAP_TYPE_RINGBUF, entries=self._geometry.ring_bytes
                )
            else:
                fd = bpf.create_map(
                    "cba_perf_events",
                    bpf.MAP_TYPE_PERF_EVENT_ARRAY,
                    key=4,
                    value=4,
                    entries=self._geometry.cpus,
                )
            self._maps[transport] = fd
        return self._maps[transport]

    def _perf_outputs(self, array_fd: int) -> OutputEvents:
        if self._outputs is None:
            self._outputs = OutputEvents(array_fd, self._online)
        return self._outputs
