"""The perf events whose buffers carry batches. Privileged side; standard library only.

Opening one takes CAP_PERFMON; mapping its buffer takes no privilege, so that is the agent's.
"""

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.streams.shared import bpf
from agent.streams.shared.machines import this_machine

# include/uapi/linux/perf_event.h
TYPE_SOFTWARE, COUNT_SW_BPF_OUTPUT = 1, 10
SAMPLE_RAW = 1 << 10
FORMAT_TOTAL_TIME_RUNNING, FORMAT_LOST = 1 << 1, 1 << 4
FLAG_BIT_WATERMARK = 1 << 14
FLAG_FD_CLOEXEC = 1 << 3
ATTRIBUTE_SIZE = 64
"""PERF_ATTR_SIZE_VER0, which every kernel takes."""

_libc = ctypes.CDLL(None, use_errno=True)


def online_cpus() -> list[int]:
    """The CPUs that run at this moment."""
    return parse_cpus(Path("/sys/devices/system/cpu/online").read_text())


def parse_cpus(text: str) -> list[int]:
    """The numbers in a list like ``0-3,6``."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def open_output(cpu: int, read_format: int, watermark: int) -> int:
    """An event of a CPU that programs write records to; returns its fd. Raises OSError.

    A reader is woken each time that ``watermark`` bytes have been written.

    ENODEV: the CPU is offline. EINVAL: there is none, or the kernel lacks the read format.
    """
    machine = this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, f"perf_event_open has no known number on {platform.machine()}")
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
    """The open event of one CPU."""

    cpu: int
    serial: int
    """Never used twice, so it tells an event from another of the same CPU."""
    watermark: int
    fd: int


class OutputEvents:
    """One event for each CPU that is online, in its place in the map that programs write to.

    The fd of that map stays open here: the kernel drops the entries when the file that was used
    for the update is closed.
    """

    def __init__(self, array_fd: int, online: Callable[[], list[int]] = online_cpus) -> None:
        self._array_fd = array_fd
        self._online = online
        self._events: dict[int, OutputEvent] = {}
        self._serial = 0
        self._lost_by_closed = 0
        self._read_format = FORMAT_TOTAL_TIME_RUNNING | FORMAT_LOST

    def renew(self, watermark: int) -> list[OutputEvent]:
        """Open what is missing, and again what is of no use; returns all that run.

        Of no use is an event with another watermark, and one whose CPU was offline meanwhile.

        Raises OSError where the kernel refuses other than because the CPU is offline.
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
        """Records that found no room, ever; None where the kernel cannot tell (before 6.0)."""
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
        self._serial += 1
        return OutputEvent(cpu, self._serial, watermark, fd)

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
        """Whether its clock does. It stands still for good once the CPU has been offline."""
        return self._read(event, 1) != self._read(event, 1)

    def _lost_by(self, event: OutputEvent) -> int:
        return self._read(event, 2) if self._read_format & FORMAT_LOST else 0

    def _read(self, event: OutputEvent, position: int) -> int:
        """One of value, time running in ns, lost."""
        values = os.read(event.fd, 3 * 8)
        return int.from_bytes(values[8 * position : 8 * position + 8], sys.byteorder)


class _Offline(Exception):
    pass
