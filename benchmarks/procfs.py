"""Readings from /proc for a process and its descendants; 0 for processes that have exited."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """Return ``pid`` and all its descendants."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*"):
        children.setdefault(_parent(path), []).append(int(path.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time of all threads so far (first field of schedstat)."""
    return sum(
        int((_read(task / "schedstat").split() or ["0"])[0])
        for pid in pids
        for task in PROC.glob(f"{pid}/task/*")
    )


def pss_bytes(pids: Sequence[int]) -> int:
    """Return the proportional set size, which divides shared pages among the sharers."""
    return sum(1024 * _field(PROC / str(pid) / "smaps_rollup", "Pss:") for pid in pids)


def anonymous_bytes(pids: Sequence[int]) -> int:
    """Return the anonymous part of the proportional set size (since Linux 5.2)."""
    return sum(1024 * _field(PROC / str(pid) / "smaps_rollup", "Pss_Anon:") for pid in pids)


def map_bytes(pids: Sequence[int]) -> int:
    """Return the memory of the BPF maps that these processes hold, counting each map once."""
    maps = {_field(info, "map_id:"): _field(info, "memlock:") for info in _fdinfos(pids)}
    maps.pop(0, None)
    return sum(maps.values())


def attached(pids: Sequence[int]) -> int:
    """Return the number of BPF links that these processes hold: their current attachments."""
    links = {_field(info, "link_id:") for info in _fdinfos(pids)}
    return len(links - {0})


def linked_programs(pids: Sequence[int]) -> set[int]:
    """Return the ids of the BPF programs that the links of these processes keep attached."""
    links = (info for info in _fdinfos(pids) if _field(info, "link_id:"))
    return {_field(info, "prog_id:") for info in links} - {0}


def perf_events(pids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the pid and the fd of each perf event that these processes hold."""
    for pid in pids:
        for path in PROC.glob(f"{pid}/fd/*"):
            if "perf_event" in _target(path):
                yield pid, int(path.name)


def _fdinfos(pids: Sequence[int]) -> Iterator[Path]:
    for pid in pids:
        yield from PROC.glob(f"{pid}/fdinfo/*")


def _parent(path: Path) -> int:
    return _field(path / "status", "PPid:")


def _field(path: Path, name: str) -> int:
    """Return the number after ``name``, or 0 if there is none."""
    for line in _read(path).splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
