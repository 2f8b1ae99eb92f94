"""The agent's kernel maps, created once and shared by all sets of programs. Privileged side."""

import mmap
import os
import struct
from collections.abc import Collection, Sequence
from ctypes import addressof, c_char
from dataclasses import dataclass

from agent.sections.probes import PROBES
from agent.streams.shared import bpf, kernel_files, refusals
from agent.streams.shared.layout import (
    BATCH_HEAD,
    BATCH_SIZE,
    CGROUPS_SIZE,
    STREAM_NAMES,
    Geometry,
    machine_geometry,
)
from agent.streams.supervisor import cgroup_chain
from agent.streams.supervisor.buffers import Buffers
from agent.streams.supervisor.wait_stacks import WaitStacks


def possible_cpus() -> int:
    """Return one more than the highest CPU number that can ever come online.

    Raises CannotCollect.
    """
    ranges = kernel_files.content(kernel_files.POSSIBLE_CPUS).strip()
    return int(ranges.replace("-", ",").split(",")[-1]) + 1


def this_machine() -> Geometry:
    """Return the geometry for this machine. Raises CannotCollect."""
    return machine_geometry(possible_cpus(), int(kernel_files.content(kernel_files.PID_MAX)))


NOT_YET = (1 << 64) - 1
"""``counted_from_ns`` between the end of attaching and the time that is then read."""


@dataclass(frozen=True)
class RunConfig:
    """struct run_config of layout.h: the programs' configuration at run time."""

    start_ns: int
    root_tgid: int
    agent_tgid: int
    pid_level: int = 0
    clock_offset: int = 0
    """Of the run queue's clock."""
    counted_from_ns: int = 0
    primed: bool = False
    """Whether what every task was doing once all was attached has been noted."""

    def packed(self) -> bytes:
        return struct.pack(
            "=QIIqQQQ",
            self.start_ns,
            self.root_tgid,
            self.agent_tgid,
            self.clock_offset,
            self.pid_level,
            self.counted_from_ns,
            self.primed,
        )


CREATING = "creating maps"

BATCH_ID = BATCH_HEAD + 4
"""Offset of batch.id, which follows the word count."""


class Maps:
    """All maps by name. Raises CannotCollect if the kernel refuses to create them."""

    def __init__(self, geometry: Geometry, buffers: Buffers | None = None) -> None:
        self.geometry = geometry
        self.buffers = buffers or Buffers(geometry)
        self.fds: dict[str, int] = {}
        self._detail_fds: dict[str, int] = {}
        self._wait_stacks: WaitStacks | None = None
        self._members_are_empty = True
        self._bytes: dict[int, int] = {}
        """By fd, once asked for: maps keep their size."""
        sizes = geometry.map_sizes()
        try:
            for name, size in sizes.items():
                self.fds[name] = _table(name, size)
            # never written, so it stays mapped to the kernel's zero page
            self._zeros = mmap.mmap(-1, max(sizes.values()), flags=mmap.MAP_PRIVATE)
        except OSError as error:
            cause = refusals.refused(CREATING, error)  # what is left of a limit counts these maps
            self.close()
            raise cause from error
        self._empty_batches = _empty_batches(geometry)

    def of_programs(self, transport: str, details: Collection[str] = ()) -> dict[str, int]:
        """Return the fds that programs use, by their names in the C files without ``_FD``."""
        fds = {**self.fds, **self.buffers.map_fds(transport)}
        if "wait_functions" in details:
            fds["stacks"] = self.wait_stacks().fd
        return fds | self.of_details(details)

    def of_details(self, details: Collection[str]) -> dict[str, int]:
        """Return the tables of a run's details, created on first use.

        Raises CannotCollect.
        """
        sizes = self.geometry.detail_sizes(details)
        for name in sizes.keys() - self._detail_fds.keys():
            try:
                self._detail_fds[name] = _table(name, sizes[name])
            except OSError as error:
                raise refusals.refused(CREATING, error) from error
        return {name: self._detail_fds[name] for name in sizes}

    def wait_stacks(self) -> WaitStacks:
        """Return the map of wait stacks, created on first use. Raises CannotCollect."""
        if self._wait_stacks is None:
            self._wait_stacks = WaitStacks()
        return self._wait_stacks

    def reset(self, config: RunConfig, cgroups: Sequence[int]) -> None:
        """Empty every table and write the next run's configuration, while nothing is attached.

        ``cgroups``: the chain of ids down to the scope, if that is a cgroup.
        """
        section_tables = (table.name for probe in PROBES for table in probe.tables)
        for name in ("slots", "counters", *section_tables):
            self._clear(self.fds[name])
        self._clear_folded()
        self.clear_members()
        self._members_are_empty = False
        for fd in self._detail_fds.values():
            self._clear(fd)
        bpf.update_element(self.fds["batches"], 0, self._empty_batches)
        bpf.update_element(self.fds["cgroups"], 0, cgroup_chain.packed(cgroups))
        self.configure(config)

    def clear_members(self) -> None:
        """Empty the table that takes longest, unless it is; only the programs use it."""
        if not self._members_are_empty:
            self._clear(self.fds["members"])
            self._members_are_empty = True

    def kernel_bytes(self, transport: str, details: Collection[str]) -> int:
        """Return the kernel memory in bytes of all of them that a run's programs use."""
        fds = set(self.of_programs(transport, details).values())
        for fd in fds - self._bytes.keys():
            self._bytes[fd] = bpf.map_bytes(fd)
        return sum(self._bytes[fd] for fd in fds)

    def cgroup_ids(self) -> tuple[int, ...]:
        """Return the ids that the run's cgroup has had, the oldest first."""
        return cgroup_chain.ids_of(bpf.element(self.fds["cgroups"], 0, CGROUPS_SIZE))

    def configure(self, config: RunConfig) -> None:
        """Write only the configuration."""
        bpf.update_element(self.fds["config"], 0, config.packed())

    def close(self) -> None:
        for fds in (self.fds, self._detail_fds):
            for fd in fds.values():
                os.close(fd)
            fds.clear()
        if self._wait_stacks is not None:
            self._wait_stacks.close()

    def _clear_folded(self) -> None:
        """Most runs fold nothing in the kernel; what is in a bin is in a sum as well (folded.h)."""
        sums = bpf.element(self.fds["folded_sums"], 0, self.geometry.map_sizes()["folded_sums"])
        if sums.strip(b"\0"):
            for name in ("folded_bins", "folded_sums"):
                self._clear(self.fds[name])

    def _clear(self, fd: int) -> None:
        zeros = c_char.from_buffer(self._zeros)
        bpf.update_from_address(fd, 0, addressof(zeros))


def _table(name: str, size: int) -> int:
    """Create an array of one large element, which user space can map."""
    return bpf.create_map(
        f"cba_{name}", bpf.MAP_TYPE_ARRAY, key=4, value=size, flags=bpf.MAP_FLAG_MMAPABLE
    )


def _empty_batches(geometry: Geometry) -> bytes:
    batches = bytearray(geometry.map_sizes()["batches"])
    for cpu in range(geometry.cpus):
        for stream in range(len(STREAM_NAMES)):
            row = cpu * len(STREAM_NAMES) + stream
            struct.pack_into("=I", batches, row * BATCH_SIZE + BATCH_ID, cpu << 8 | stream)
    return bytes(batches)
