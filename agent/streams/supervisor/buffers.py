"""The kernel side of both transports, created on first use. Privileged side."""

import errno
import itertools
import mmap
import os
from collections.abc import Callable, Collection
from typing import NamedTuple

from agent.streams.shared import bpf, refusals
from agent.streams.shared.layout import Geometry
from agent.streams.shared.support import Feature, Missing, Unknown
from agent.streams.supervisor.perf_events import OutputEvents, online_cpus

ALL_CPUS = -1
"""The ``cpu`` of the ring, which all CPUs share."""
RARE_PERF = "rare_perf"
"""The perf buffers of the streams that cannot be folded in the kernel, apart from the others."""


def _has_ring_buffers() -> None:
    try:
        os.close(bpf.create_map("cba_test", bpf.MAP_TYPE_RINGBUF, entries=mmap.PAGESIZE))
    except OSError as error:
        # what the kernel returns for an unknown map type (find_and_alloc_map)
        if error.errno == errno.EINVAL:
            raise Missing("this kernel has no ring buffers; perf buffers replace them") from None
        raise Unknown(refusals.refused("creating a ring buffer", error).message) from error


RING_BUFFERS = Feature("ring_buffers", _has_ring_buffers, "transport ring", "5.8", is_final=True)


class Buffer(NamedTuple):
    """One buffer that the agent maps."""

    cpu: int
    serial: int
    fd: int
    rare: bool = False
    """For the streams that cannot be folded in the kernel."""


class Buffers:
    """The maps of both transports. A run uses one of them."""

    def __init__(self, geometry: Geometry, online: Callable[[], list[int]] = online_cpus) -> None:
        self._geometry = geometry
        self._online = online
        self._maps: dict[str, int] = {}
        self._serials = itertools.count(1)
        self._outputs: dict[str, OutputEvents] = {}
        self._counting = False
        self._refused_before = 0

    def chosen(self, wanted: str) -> str:
        """Return ``ring`` or ``perf``: for ``auto``, perf on a kernel without ring buffers."""
        if wanted != "auto":
            return wanted
        if "ring" in self._maps:
            return "ring"
        return "perf" if RING_BUFFERS.support().supported is False else "ring"

    def map_fds(self, transport: str) -> dict[str, int]:
        """Return the fds of the maps that programs write to, by their names in the C files.

        Raises CannotCollect.
        """
        names = {"events": transport}
        if transport == "perf":
            names["rare_events"] = RARE_PERF
        try:
            return {name: self._create(map_name) for name, map_name in names.items()}
        except OSError as error:
            raise refusals.refused(f"creating a {transport} buffer", error) from error

    def offered(
        self, transport: str, have: Collection[int], watermarks: tuple[int, int]
    ) -> list[Buffer]:
        """Return the current buffers, except those with a serial in ``have``. Raises CannotCollect.

        A perf buffer's reader is woken each time ``watermarks`` bytes have been written: the first
        is for the streams that can be folded in the kernel, the second for all others.
        """
        fds = self.map_fds(transport)
        if transport == "ring":
            buffers = [Buffer(ALL_CPUS, 0, fds["events"])]
        else:
            buffers = [
                Buffer(event.cpu, event.serial, event.fd, name == RARE_PERF)
                for name, watermark in zip(("perf", RARE_PERF), watermarks, strict=True)
                for event in self._perf_outputs(name).renew(watermark)
            ]
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
        for outputs in self._outputs.values():
            outputs.close()
        for fd in self._maps.values():
            os.close(fd)
        self._maps.clear()

    def _refused(self) -> int | None:
        if not self._counting:
            return None
        counts = [outputs.refused() for outputs in self._outputs.values()]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def _create(self, name: str) -> int:
        if name not in self._maps:
            if name == "ring":
                fd = bpf.create_map(
                    "cba_events", bpf.MAP_TYPE_RINGBUF, entries=self._geometry.ring_bytes
                )
            else:
                fd = bpf.create_map(
                    f"cba_{name}_events",
                    bpf.MAP_TYPE_PERF_EVENT_ARRAY,
                    key=4,
                    value=4,
                    entries=self._geometry.cpus,
                )
            self._maps[name] = fd
        return self._maps[name]

    def _perf_outputs(self, name: str) -> OutputEvents:
        if name not in self._outputs:
            self._outputs[name] = OutputEvents(self._maps[name], self._online, self._serials)
        return self._outputs[name]
