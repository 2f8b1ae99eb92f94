"""The section ``procfs``: what was counted, how tasks were followed, and what is missing. Pure."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from agent.procfs.group import Group
from agent.procfs.readings import LACKING, Reading, as_json
from agent.procfs.sums import OfThreads
from agent.procfs.task import OF_IO, OF_PROCESSES, OF_RUN_QUEUE, SWITCHES
from agent.procfs.tree import Tree
from agent.words import Json

NO_WAITS = (
    "this kernel does not account waits for a CPU (/proc/self/schedstat); it needs "
    "CONFIG_SCHEDSTATS"
)
REPLACED = "this disk was removed during the run, or another one took its place"
ENDED_UNREAD = "the processes ended before it was read"
AS_ITS_USER = "; run the agent as the benchmark's user"
CPUS_CHANGED = "CPUs went offline or came online during the run"


class Looks:
    """When the tasks of a scope were looked at."""

    def __init__(self) -> None:
        self.count = 0
        self.last_s = 0.0
        """How long the last look took."""
        self.longest_gap_s = 0.0
        self._began_at: float | None = None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Time one look."""
        began_at = time.perf_counter()
        if self._began_at is not None:
            self.longest_gap_s = max(self.longest_gap_s, began_at - self._began_at)
        self._began_at = began_at
        yield
        self.count += 1
        self.last_s = time.perf_counter() - began_at

    def to_json(self) -> Json:
        """Return how often and how far apart tasks were looked at, as evidence has it."""
        return {"looks": self.count, "longest_gap_ms": self.longest_gap_s * 1e3}


def machine_json(
    grown: Reading, waits: Reading, disks: Sequence[Json] | str, replaced: Sequence[str]
) -> Json:
    """Return what the whole machine did.

    ``waits``: for CPUs, by CPU; ``disks``: a row of each that was used, or why there is none;
    ``replaced``: those that were removed or replaced meanwhile, and have no row.
    """
    counts, missing = dict(grown.counts), dict(grown.missing)
    if waits.missing:
        missing["wait_ms"] = next(iter(waits.missing.values()))
    else:
        counts["wait_ms"] = sum(waits.counts.values())
    built = as_json(counts)
    if isinstance(disks, str):
        missing["disks"] = disks
    else:
        built["disks"] = list(disks)
        missing |= _of_replaced(replaced)
    return {**built, "missing": _grouped(missing)}


def tasks_json(tasks: Tree | Group, looks: Looks) -> Json:
    """Return what the tasks of a scope did, as far as they were followed, and how they were."""
    built = _of_tree(tasks) if isinstance(tasks, Tree) else _of_group(tasks)
    return {**built, **looks.to_json()}


def _of_tree(tree: Tree) -> Json:
    threads, processes = tree.of_threads, tree.of_processes
    handed_on = {name: processes.totals[name] for name in OF_PROCESSES}
    missing = _without_waits(tree.with_waits)
    if tree.has_io:
        handed_on |= {name: processes.totals[name] for name in OF_IO.values()}
        missing |= _without_refused_io(tree)
    else:
        missing |= dict.fromkeys(OF_IO.values(), _why_no_io(tree))
    seen = _of_threads(threads, tree.with_waits)
    if tree.unseen:
        missing = _of_others(tree.unseen, [*handed_on, *seen]) | missing
    return {
        **as_json({**handed_on, **seen}),
        "followed": {"waited_for": [*handed_on], "last_seen": [*seen]},
        "processes": processes.seen,
        "ended": processes.ended,
        "root_ended": tree.root_has_ended,
        "io_refused": len(tree.io_refused),
        "missing": _grouped(missing),
    }


def _why_no_io(tree: Tree) -> str:
    if not tree.why_io_refused:
        return ENDED_UNREAD if tree.has_ended_unread else LACKING
    return tree.why_io_refused + (AS_ITS_USER if tree.is_anothers else "")


def _without_refused_io(tree: Tree) -> dict[str, str]:
    """Return that the I/O of some processes is in no sum, if it is not."""
    if not tree.io_refused:
        return {}
    refused = f"{len(tree.io_refused)} of {tree.of_processes.seen} processes"
    return _of_others(f"not known of {refused} ({tree.why_io_refused})", OF_IO.values())


def _of_others(why: str, figures: Iterable[str]) -> dict[str, str]:
    """Return that figures are not of all tasks."""
    return dict.fromkeys(figures, f"{why}: the figures are of the others, a lower bound")


def _of_group(group: Group) -> Json:
    grown, threads = group.grown(), group.of_threads
    seen = _of_threads(threads, group.with_waits)
    missing = {**grown.missing, **_without_waits(group.with_waits)}
    if group.unseen and threads.any_seen:
        missing |= _of_others(group.unseen, seen)
    elif group.unseen:
        missing |= dict.fromkeys(seen, group.unseen)
        seen = {}
    built = as_json({**grown.counts, **seen})
    own, of_disks = [*grown.counts], group.disks()
    if of_disks is None:
        missing["disks"] = group.why_no_disks
    else:
        built["disks"], replaced = of_disks
        missing |= _of_replaced(replaced)
        own.append("disks")
    return {
        **built,
        "followed": {"cgroup": own, "last_seen": [*seen]},
        "cgroup_removed": group.is_removed,
        "includes_agent": group.includes_agent,
        "missing": _grouped(missing),
    }


def _of_replaced(disks: Sequence[str]) -> dict[str, str]:
    return {f"disks.{name}": REPLACED for name in disks}


def _of_threads(threads: OfThreads, with_waits: bool) -> dict[str, int]:
    names = (*(OF_RUN_QUEUE if with_waits else ()), *SWITCHES.values())
    return {name: threads.totals[name] for name in names} | {"forks": threads.began}


def _without_waits(with_waits: bool) -> dict[str, str]:
    return {} if with_waits else dict.fromkeys(OF_RUN_QUEUE, NO_WAITS)


def _grouped(missing: Mapping[str, str]) -> list[Json]:
    """Return figures that are missing by the reason for that."""
    reasons = dict.fromkeys(missing.values())
    return [
        {"figures": [name for name in missing if missing[name] == why], "reason": why}
        for why in reasons
    ]
