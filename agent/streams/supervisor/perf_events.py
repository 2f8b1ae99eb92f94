"""The perf events whose buffers carry batches. Privileged side; standard library only.

Opening one requires CAP_PERFMON. Mapping its buffer requires no privilege, so the agent does it.
"""

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.streams.shared import bpf, kernel_files
from agent.streams.shared.machines import this_machine

# include/uapi/linux/perf_event.h
TYPE_SOFTWARE, COUNT_SW_BPF_OUTPUT = 1, 10
SAMPLE_RAW = 1 << 10
FORMAT_TOTAL_TIME_RUNNING, FORMAT_LOST = 1 << 1, 1 << 4
FLAG_BIT_WATERMARK = 1 << 14
FLAG_FD_CLOEXEC = 1 << 3
ATTRIBUTE_SIZE = 64
"""PERF_ATTR_SIZE_VER0, which every kernel accepts."""

_libc = ctypes.CDLL(None, use_errno=True)


def online_cpus() -> list[int]:
    """Return the CPUs that are online now. Raises CannotCollect."""
    return parse_cpus(kernel_files.content(kernel_files.ONLINE_CPUS))


def parse_cpus(text: str) -> list[int]:
    """Return the numbers in a list like ``0-3,6``."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def open_output(cpu: int, read_format: int, watermark: int) -> int:
    """Open a CPU's event that programs write records to and return its fd. Raises OSError.

    A reader is woken each time ``watermark`` bytes have been written.

    ENODEV: the CPU is offline. EINVAL: no such CPU, or the kernel lacks the read format.
    """
    machine = this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, f"no known perf_event_open number on {platform.machine()}")
    sample_period = 1
    attributes = struct.pack(
        "=IIQQQQQI",
        TYPE_SOFTWARE,
        ATTRIBUTE_SIZE,
        COUNT_SW_BPF_OUTPUT,
        sample_period,
        SAMPLE_RAW,
        read_format,
        FLAG_BIT_WATERMARK,
        watermark,
    )
    buffer = ctypes.create_string_buffer(attributes, ATTRIBUTE_SIZE)
    fd = int(_libc.syscall(machine.perf_event_open, buffer, -1, cpu, -1, FLAG_FD_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


@dataclass(frozen=True)
class OutputEvent:
    """One CPU's open event."""

    cpu: int
    serial: int
    """Never reused, so it distinguishes an event from others of the same CPU."""
    watermark: int
    fd: int


class OutputEvents:
    """One event per online CPU, each at its index in the map that programs write to.

    The map's fd must stay open in this process: the kernel drops the entries when the file that
    was used for the update is closed.
    """

    def __init__(
        self, array_fd: int, online: Callable[[], list[int]], serials: Iterator[int]
    ) -> None:
        """``serials``: the numbers of the events to come, shared with other such objects."""
        self._array_fd = array_fd
        self._online = online
        self._serials = serials
        self._events: dict[int, OutputEvent] = {}
        self._lost_by_closed = 0
        self._read_format = FORMAT_TOTAL_TIME_RUNNING | FORMAT_LOST

    def renew(self, watermark: int) -> list[OutputEvent]:
        """Open missing events, reopen stale ones, and return all that are running.

        An event is stale if it has another watermark, or if its CPU has been offline since.

        Raises OSError if the kernel refuses for any reason other than an offline CPU.
        """
        online = self._online()
        for cpu in online:
            event = self._events.get(cpu)
            if event is not None and not (event.watermark == watermark and self._runs(event)):
                self._lost_by_closed += self._lost_by(event)
                os.close(self._events.pop(cpu).fd)
                event = None
            if event is None:
                with contextlib.suppress(_Offline):
                    self._events[cpu] = self._opened(cpu, watermark)
        return [self._events[cpu] for cpu in online if cpu in self._events]

    def refused(self) -> int | None:
        """Records that ever found no room; None on kernels that do not count them (before 6.0)."""
        if not self._read_format & FORMAT_LOST:
            return None
        return self._lost_by_closed + sum(map(self._lost_by, self._events.values()))

    def close(self) -> None:
        for event in self._events.values():
            os.close(event.fd)
        self._events.clear()

    def _opened(self, cpu: int, watermark: int) -> OutputEvent:
        fd = self._open(cpu, watermark)
        try:
            bpf.update_element(self._array_fd, cpu, struct.pack("=I", fd))
        except OSError:
            os.close(fd)
            raise
        return OutputEvent(cpu, next(self._serials), watermark, fd)

    def _open(self, cpu: int, watermark: int) -> int:
        try:
            return open_output(cpu, self._read_format, watermark)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise _Offline from error
            if error.errno != errno.EINVAL or not self._read_format & FORMAT_LOST:
                raise
        # a kernel without PERF_FORMAT_LOST
        self._read_format &= ~FORMAT_LOST
        return self._open(cpu, watermark)

    def _runs(self, event: OutputEvent) -> bool:
        """Whether the event's clock runs. It stops for good once the CPU has been offline."""
        return self._read(event, 1) != self._read(event, 1)

    def _lost_by(self, event: OutputEvent) -> int:
        return self._read(event, 2) if self._read_format & FORMAT_LOST else 0

    def _read(self, event: OutputEvent, position: int) -> int:
        """Read the field at a position: value, time running in ns, lost."""
        values = os.read(event.fd, 3 * 8)
        return int.from_bytes(values[8 * position : 8 * position + 8], sys.byteorder)


class _Offline(Exception):
    pass
