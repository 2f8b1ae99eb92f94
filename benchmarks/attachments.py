"""The BPF programs that other processes keep attached, whichever way they attached them.

A link's fdinfo names its program (``bpf_link_show_fdinfo``). bcc and bpftrace attach to tracepoints
without a link, by an ioctl on a perf event; only BPF_TASK_FD_QUERY (bpf(2), since Linux 4.18) tells
which program such an fd runs.
"""

import ctypes
from collections.abc import Iterator, Sequence

from agent.streams.shared.bpf import bpf
from benchmarks import procfs

TASK_FD_QUERY = 20


class TaskFdQuery(ctypes.Structure):
    """The part of ``union bpf_attr`` (include/uapi/linux/bpf.h) that the command uses."""

    _fields_ = [
        ("pid", ctypes.c_uint32),
        ("fd", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("buf_len", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("prog_id", ctypes.c_uint32),
        ("fd_type", ctypes.c_uint32),
        ("probe_offset", ctypes.c_uint64),
        ("probe_addr", ctypes.c_uint64),
    ]


def attached_programs(pids: Sequence[int]) -> set[int]:
    """Return the ids of the programs that these processes keep attached (needs CAP_SYS_ADMIN)."""
    return procfs.linked_programs(pids) | set(_on_perf_events(pids))


def _on_perf_events(pids: Sequence[int]) -> Iterator[int]:
    for pid, fd in procfs.perf_events(pids):
        query = TaskFdQuery(pid=pid, fd=fd)
        try:
            bpf(TASK_FD_QUERY, query)
        except OSError:
            continue  # it runs no program, as the events of a perf buffer do not, or is closed now
        yield query.prog_id
