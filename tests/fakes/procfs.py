"""Sections ``procfs`` of every kind, made of what a kernel could have counted."""

import os
from collections.abc import Iterable
from pathlib import Path

from agent.procfs import disks
from agent.procfs.evidence import Looks, machine_json, tasks_json
from agent.procfs.files import Counts
from agent.procfs.group import Group
from agent.procfs.machine import MACHINE
from agent.procfs.readings import Reading
from agent.procfs.task import OF_IO, OF_PROCESSES, OF_RUN_QUEUE, SWITCHES, Process
from agent.procfs.tree import Tree
from agent.words import Json

OF_THREADS = (*OF_RUN_QUEUE, *SWITCHES.values())
PSI = "some avg10=0.00 avg60=0.00 avg300=0.00 total={0}\nfull avg10=0.00 avg60=0.00 total={0}\n"


def machine() -> Json:
    """Return what is said of a machine of which all is known but one figure."""
    grown = {name: 5_000_000 for source in MACHINE for name in source.figures}
    grown |= {"context_switches": 12_345, "forks": 67, "page_faults": 8_910, "major_faults": 11}
    del grown["stolen_ms"]
    used = {name: 3_000_000 if name.endswith("_ms") else 4_096 for name in disks.COLUMNS}
    rows, _ = disks.grown({}, {"254:0 vda": used})
    missing = {"stolen_ms": "this kernel does not report it"}
    return machine_json(Reading(grown, missing), Reading({"cpu0": 7_000_000}), rows, ["sdb"])


def of_tree() -> Json:
    """Return what is said of a tree of two processes, of which one has ended."""
    both = (*OF_PROCESSES, *OF_IO.values())
    tree = Tree(os.getpid(), with_waits=True)
    root, child = tree.root, (2, 2)
    tree.members = {root: Process(0, 1, {})}
    tree.has_io, tree.io_refused = True, {child}
    tree.why_io_refused = "/proc/2/io: Permission denied"
    tree.of_processes.take({root: Process(0, 1, counts(both, 0))}, {root})
    tree.of_processes.take(
        {root: Process(0, 1, counts(both, 0)), child: Process(root[0], 2, counts(OF_PROCESSES, 3))}
    )
    tree.of_processes.take({root: Process(0, 1, counts(both, 1_234))})
    tree.of_threads.take({1: counts(OF_THREADS, 0)}, {1})
    tree.of_threads.take({1: counts(OF_THREADS, 20), 2: counts(OF_THREADS, 3)})
    return tasks_json(tree, _looks())


def counts(names: Iterable[str], size: int) -> Counts:
    """Return counts of one size, times in ms."""
    return {name: size * (1_000_000 if name.endswith("_ms") else 1) for name in names}


async def of_group(folder: Path) -> Json:
    """Return what is said of a control group, whose files are in an empty folder."""

    def write(size: int) -> None:
        us = size * 1_000
        (folder / "cpu.stat").write_text(f"usage_usec 1\nuser_usec {us}\nsystem_usec {us}\n")
        (folder / "memory.stat").write_text(f"anon 1\npgfault {size}\npgmajfault {size}\n")
        (folder / "io.stat").write_text(
            f"254:0 rbytes={size} wbytes=0 rios={size} wios=0 dbytes=0\n"
        )
        for name in ("cpu", "io", "memory"):
            (folder / f"{name}.pressure").write_text(PSI.format(us))

    (folder / "cgroup.threads").write_text("")
    group = Group(folder, with_waits=True)
    for size in (1, 43):
        write(size)
        await group.look()
    return tasks_json(group, _looks())


def _looks() -> Looks:
    looks = Looks()
    looks.count, looks.longest_gap_s = 41, 0.0525
    return looks
