"""The tasks of the synthetic machine."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.mock.cycles import Habit, Sleep
from agent.mock.scripts import Script


@dataclass(frozen=True, slots=True)
class Part:
    """One task, and what it does."""

    tid: int
    command: str
    habit: Habit
    is_kernel_thread: bool = False


def cast(script: Script, scoped: bool) -> Iterator[Part]:
    """Yield the benchmark's tasks, and in a run of the whole machine those of others as well."""
    yield Part(100, "bench", _main())
    for tid in (102, 103, 104):
        yield Part(tid, "bench-worker", _worker(script))
    yield Part(101, "bench-writer", _writer())
    if not scoped:
        yield Part(20, "kworker/0:1", Habit((Sleep("kernel_thread", 3_000_000),), 20_000), True)
        yield Part(50, "logger", Habit((Sleep("epoll_pwait", 40_000_000),), 60_000, ("write",)))


def _main() -> Habit:
    sleeps = (
        Sleep("read", 700_000, weight=6),
        Sleep("ppoll", 2_000_000, weight=2),
        Sleep("page_fault", 150_000, weight=1, uninterruptible=True),
    )
    return Habit(sleeps, 300_000, ("openat", "newfstatat", "close"))


def _worker(script: Script) -> Habit:
    sleeps = (Sleep("futex", script.lock_ns, weight=9), Sleep("read", 300_000, weight=1))
    return Habit(sleeps, 200_000, ("futex", "write"))


def _writer() -> Habit:
    sleeps = (
        Sleep("fsync", 8_000_000, weight=3, uninterruptible=True),
        Sleep("clock_nanosleep", 10_000_000),
    )
    return Habit(sleeps, 80_000, ("write",))
