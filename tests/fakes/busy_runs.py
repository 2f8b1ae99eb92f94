"""Runs in which every kind of event happened, for tests of everything that a run can return."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import trio
from fakes.collector import FakeCollector, raising
from fakes.task_summaries import reports
from fakes.walls import wall_table

from agent.aggregate.series import LabelSet, SeriesStore
from agent.model import Labels, Scope, StartRequest
from agent.recording.recorder import Recorder
from agent.sections.biolatency.diskstats import COLUMNS
from agent.sections.biolatency.layout import BLOCK_IN_DISKSTATS
from agent.sections.biolatency.open_requests import REQUEST_DTYPE
from agent.sections.biolatency.stacking import Below, Stacking
from agent.sections.offcpu.layout import WALL_BEGUN
from agent.sections.offcpu.wait_functions import WAITS_DTYPE
from agent.sections.offcpu.wall_tables import END_DTYPE, PHASE_SHIFT
from agent.sections.probes import SECTIONS
from agent.sections.syscall_counts.times import ENTRY_DTYPE, TIMES_DTYPE
from agent.streams.collect import observed, task_summaries
from agent.streams.collect.cpu_quota import Counts, Limited, Throttling
from agent.streams.collect.scopes import cgroup_at_stop, described
from agent.streams.collect.tables import Blocked, OpenWait, OpenWaits
from agent.streams.shared import layout
from agent.streams.shared.causes import cannot
from agent.streams.shared.kernel_counts import Edge, KernelCounts, SectionCounts
from agent.streams.shared.messages import DisarmAnswer, ScopeProcess
from agent.words import Json

EVENTS = {
    "runqlat": [1_500 | 7 << layout.LATENCY_BITS],
    "biolatency": [[40_000 | BLOCK_IN_DISKSTATS << layout.LATENCY_BITS, 50_000, 259, 4096]],
    "exec": [[7, 0x6C73, 0, 1]],
    "softirq": [1_500 | 3 << layout.LATENCY_BITS],
}
"""One event of each section's stream."""

COMMANDS = range(1, 22)
"""More than are listed one by one."""
BLOCKED = {"blocked": {layout.REASON_PAGE_FAULT: 1}}

BELOW: dict[str, Below] = {"0:259": ("0:1",), "0:260": None}
COUNTS = {
    "biolatency": {f"{name}_{disk}": 1 for disk in BELOW for name in (*COLUMNS, "in_flight_read")},
    "softirq": {"net_rx": 1},
}
"""The kernel's own counts."""


class Stacked(Stacking):
    """Disks that lie on another one, or on something unknown."""

    def below(self, device: str) -> Below:
        return BELOW[device]


class Busy(FakeCollector):
    """A collector with one event in each stream and an entry in every table."""

    async def start(
        self, request: StartRequest, receiver: Any, run_id: str = ""
    ) -> observed.Arming:
        arming = await super().start(request, receiver)
        # the real collector's description of the scope: an invented one would test nothing
        root = ScopeProcess(1, 1, "init", 10**9) if request.scope.kind == "pid" else None
        self._cgroup = request.scope.cgroup
        arming = replace(
            arming,
            scope=described(request.scope, 1, root),
            details={"syscalls": ("tp_btf/sys_exit",), "wall": ("tp_btf/sched_wakeup",)},
        )
        summary = np.zeros(1, task_summaries.SUMMARY_DTYPE)
        summary["tid"], summary["comm"], summary["waits"], summary["born_ns"] = 7, b"busy", 1, 1
        receiver.folds["biolatency"].stacking = Stacked()
        for section in request.sections:
            if section in EVENTS:
                receiver.take(layout.STREAM_NUMBERS[section], np.array(EVENTS[section], np.uint64))
        receiver.take(layout.STREAM_NUMBERS["exit"], summary.view(np.uint64).reshape(1, -1))
        return arming

    async def stop(self) -> observed.Stopped:
        stopped = await super().stop()
        program: Json = {"name": "cba_switch", "hook": "sched_switch"}
        program |= dict.fromkeys(("runs", "run_ns", "recursion_misses"), 1)
        edges = edge({}), edge(COUNTS)
        ended = observed.Stopped(
            stopped.stop_ns,
            self._observed(),
            edges,
            task_summaries.none(),
            (program,),
            wall_contradicted=0,
            reports=reports(
                *({"tid": n, "local_tid": 1, "comm": b"%d" % n, **BLOCKED} for n in COMMANDS)
            ),
        )
        if self._has_tree:
            limit = Limited("/a", 50_000, 100_000, Counts(2, 1, 10**6))
            ended = replace(ended, throttling=Throttling((limit,), to_root=True))
        if not self._cgroup:
            return ended
        scope, gaps = cgroup_at_stop(self._cgroup, DisarmAnswer(1, cgroups=(1, 2)), 2)
        return replace(ended, scope=scope, gaps=gaps)

    def _observed(self) -> observed.Observed:
        empty = super()._observed()
        ones = np.ones((2, layout.REASONS), np.uint64)
        times, waits = np.ones(1, TIMES_DTYPE), np.ones(1, WAITS_DTYPE)
        ends = np.array([(b"sh", WALL_BEGUN << PHASE_SHIFT, 1, 1)], END_DTYPE)
        in_flight = np.zeros(1, REQUEST_DTYPE)
        in_flight["key"], in_flight["since"], in_flight["device"] = 1, 1, 259
        tables = {
            "requests": in_flight.tobytes(),
            "syscall_times": times.tobytes(),
            "entries": np.ones(1, ENTRY_DTYPE).tobytes(),
            "waits": waits.tobytes(),
            "wall": wall_table(begun=0, ended=10**9, computing=10**9).tobytes(),
            "wall_ends": ends.tobytes(),
            "wall_cpus_of": ends.tobytes(),
        }
        nothing_open = np.empty(0, np.int64), np.empty(0, np.uint64)
        return replace(
            empty,
            blocked=Blocked(ones, ones),
            waiting=OpenWaits(1, 0, 1, OpenWait(7, 1, older=False)),
            syscalls={"read": 1},
            details=("syscalls", "wait_functions"),
            tables={**empty.tables, **tables},
            wait_stacks=observed.WaitStacks({"futex_wait": [0]}, *nothing_open),
            exec_failures={"ENOENT": 1},
        )


def edge(counts: SectionCounts) -> Edge:
    """Return an edge of a run with these kernel counts; a count that is not given is zero."""
    none = {section: dict.fromkeys(found, 0) for section, found in COUNTS.items()}
    return Edge(KernelCounts(1, 1), 0, 0, 0, "0", {**none, **counts})


async def finished(
    collector: FakeCollector,
    *,
    mock: bool = False,
    series: SeriesStore | None = None,
    **request: Any,
) -> tuple[Json, Json, Recorder]:
    """Return one run's answer to the start, its evidence, and its recorder."""
    store = SeriesStore() if series is None else series
    recorder = Recorder(collector, "box", store, mock=mock)
    async with trio.open_nursery() as nursery:
        await nursery.start(recorder.run)
        started = await recorder.start(StartRequest(**{"sections": SECTIONS, **request}))
        await recorder.refresh()
        stopped = await recorder.stop()
        nursery.cancel_scope.cancel()
    return started, stopped, recorder


async def every_run() -> list[tuple[Json, Json]]:
    """Return runs of every kind, with their answers to the start.

    A complete one, one without a section, one that measured nothing, scoped ones, a synthetic one,
    one for which a label set is hidden from /metrics.
    """
    lacking, failing = Busy(), Busy()
    lacking.unavailable = {"biolatency": "no tracepoint"}
    failing.arming = raising(cannot("no_btf", "gone"))
    scopes = (Scope("pid", pid=1), Scope("cgroup", cgroup="/a"))
    runs = [await finished(c) for c in (Busy(), lacking, failing)]
    runs += [await finished(Busy(), scope=scope) for scope in scopes]
    runs.append(await finished(Busy(), mock=True))
    full = SeriesStore(cap=1)
    full.begin(LabelSet.of(Labels(impl="another"), "box"))
    runs.append(await finished(Busy(), series=full))
    return [(started, stopped) for started, stopped, _ in runs]


DYNAMIC = {
    "unavailable": "<section>",
    "armed": "<section>",
    "syscall_counts.all": "<name>",
    "manifest.versions": "<name>",
    "manifest.hooks": "<section>",
    "manifest.details": "<detail>",
    "exec.failures": "<errno>",
    "syscall_details": "<name>",
    "completeness.streams": "<stream>",
    "overhead.events_by_stream": "<stream>",
    "biolatency.devices[].in_flight": "<direction>",
}
"""Objects whose keys are data, each with the placeholder for its keys."""


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Yield the path of each value in a JSON document (``a.b[].c``); empty containers have none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = DYNAMIC.get(at, str(key))
            yield from paths(inner, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]")
    else:
        yield at
