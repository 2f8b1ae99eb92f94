"""Programs that the kernel skipped, and by how much figures may fall short for it.

The kernel skips a program for an event if the same one is running on that CPU, or, since Linux 7.0,
has been preempted there (docs/decisions/0041-programs-that-are-preempted.md). It counts how often.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.nouns import counted

MISSING = {
    "sched_switch": ("switch", "runqlat and offcpu"),
    "sched_wakeup": ("wakeup", "runqlat and offcpu"),
    "sched_wakeup_new": ("wakeup", "runqlat and offcpu"),
    "task_newtask": ("task", "forks; in a scoped run with all that descend from it"),
    "sched_process_exit": ("exit", "tasks"),
    "sched_process_exec": ("exec", "exec"),
    "sys_enter": ("call", "syscall_counts"),
    "sys_exit": ("call", "syscall_details, or failure in exec"),
    "block_rq_complete": ("request", "biolatency"),
    "block_bio_complete": ("request", "biolatency"),
    "softirq_entry": ("softirq", "softirq"),
    "softirq_exit": ("softirq", "softirq"),
}
"""What is not counted if a tracepoint's program is skipped, and where. Of others nothing is
missing: a request is then timed from its allocation, for instance."""


def skipped(programs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return a sentence for each tracepoint with events that no program has seen.

    Of two programs at the same tracepoint either sees an event: it is lost if both were skipped.
    """
    misses: dict[str, list[int]] = {}
    for program in programs:
        hook, _, _ = program["hook"].partition("/")
        misses.setdefault(hook, []).append(program["recursion_misses"])
    for hook, counts in misses.items():
        if count := min(counts):
            yield f"{hook}: skipped {counted(count, 'time')} by the kernel{_short_by(hook, count)}"


def _short_by(hook: str, count: int) -> str:
    if hook not in MISSING:
        return ""
    noun, where = MISSING[hook]
    return f"; missing: up to {counted(count, noun)} in {where}"
