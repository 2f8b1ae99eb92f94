"""A supervisor without an agent, for tests that act as the agent.

    supervisor.py CHANNEL_FD RING_BYTES ONLINE_FILE [without-ring]

ONLINE_FILE replaces /sys/devices/system/cpu/online, so that a test can add and remove CPUs.
"""

import dataclasses
import errno
import os
import socket
import sys
from pathlib import Path

from agent.streams.shared import bpf
from agent.streams.supervisor.buffers import Buffers
from agent.streams.supervisor.maps import Maps, this_machine
from agent.streams.supervisor.perf_events import parse_cpus
from agent.streams.supervisor.supervisor import Supervisor

real_create_map = bpf.create_map


def create_map_before_5_8(name: str, map_type: int, **sizes: int) -> int:
    if map_type == bpf.MAP_TYPE_RINGBUF:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return real_create_map(name, map_type, **sizes)


def main() -> None:
    channel, ring_bytes, online = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    if "without-ring" in sys.argv:
        bpf.create_map = create_map_before_5_8
    geometry = dataclasses.replace(this_machine(), ring_bytes=ring_bytes)
    buffers = Buffers(geometry, lambda: parse_cpus(online.read_text()))
    Supervisor(socket.socket(fileno=channel), lambda: Maps(geometry, buffers)).serve()


main()
