"""The owner of the run: arms, feeds a collection, stops, and keeps what came of it.

Every start and stop is carried out by a task of the recorder's own nursery. Whoever asked only
waits for it, so a client that goes away in the middle changes nothing.
"""

import logging
import time
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Protocol

import trio

from agent import evidence
from agent.aggregate.series import LabelSet, SeriesStore
from agent.collection import Collection
from agent.cost import CpuMeter
from agent.errors import NotRunning, RunInProgress
from agent.health import HealthMetric
from agent.health_totals import HealthTotals
from agent.lifecycle import Event, Lifecycle, State
from agent.manifest import manifest
from agent.model import SECTIONS, Labels, Report, StartRequest
from agent.streams.batches import Sink
from agent.streams.causes import CannotCollect
from agent.streams.observed import Arming, Observed, Stopped

Json = dict[str, Any]

KEPT_EVIDENCE = 16
"""Runs whose evidence can still be fetched, for a client that was gone when it was answered."""

LOGGER = logging.getLogger("agent.recorder")


class Collector(Protocol):
    """Where events come from: the kernel, or a fake of it."""

    @property
    def lost(self) -> trio.Event:
        """Set when nothing can be collected any more."""
        ...

    async def prepare(self) -> None: ...

    async def start(self, request: StartRequest, sink: Sink) -> Arming: ...

    async def refresh(self) -> Observed: ...

    async def stop(self) -> Stopped: ...

    def processes(self) -> dict[str, int]:
        """Pids by role, of this process and those it needs."""
        ...


class _Run:
    """One run from its start to its evidence."""

    def __init__(self, request: StartRequest, machine: str) -> None:
        self.id = str(uuid.uuid4())
        self.request = request
        self.label_set = LabelSet.of(request.labels, machine)
        self.collection = Collection()
        self.arming: Arming | None = None
        self.failure: CannotCollect | None = None
        self.meter = CpuMeter({})
        self.started_at = datetime.now(UTC)
        self.started_ns = time.monotonic_ns()
        self.armed = trio.Event()
        self.finished = trio.Event()
        self.evidence: Json = {}

    @property
    def sections(self) -> list[str]:
        """The sections that are being measured."""
        return [s for s in SECTIONS if self.arming is not None and s in self.arming.hooks]


class Recorder:
    """Implements what the HTTP side asks for (`agent.http.api.RecorderAPI`)."""

    def __init__(self, collector: Collector, machine: str, series: SeriesStore) -> None:
        self._collector = collector
        self._machine = machine
        self._series = series
        self._lifecycle = Lifecycle()
        self._run: _Run | None = None
        self._kept: OrderedDict[str, Json] = OrderedDict()
        self._totals = HealthTotals()
        self._failure: CannotCollect | None = None
        self._available: bool | None = None
        self._nursery: trio.Nursery | None = None
        self._refreshing: trio.Event | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out starts and stops until cancelled; the first thing is to load the programs."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._prepare)
            task_status.started()
            await trio.sleep_forever()

    # --- what the routes ask for

    async def start(self, request: StartRequest) -> Json:
        """Begin a run. Raises RunInProgress."""
        if self._lifecycle.state is not State.IDLE:
            assert self._run is not None
            raise RunInProgress(self._run.id)
        self._lifecycle.fire(Event.START)
        run = self._run = _Run(request, self._machine)
        self._spawn(self._arm, run)
        await run.armed.wait()
        return self._started(run)

    async def stop(self) -> Json:
        """End the run and return its evidence. Raises NotRunning."""
        if self._lifecycle.state is State.ARMING:
            assert self._run is not None
            await self._run.armed.wait()
        if self._lifecycle.state is not State.RUNNING:
            raise NotRunning
        self._lifecycle.fire(Event.STOP)
        run = self._run
        assert run is not None
        self._spawn(self._finish, run)
        await run.finished.wait()
        return run.evidence

    def status(self) -> Json:
        run = self._run
        labels = run.request.labels if run else Labels()
        return {
            "running": run is not None,
            "state": self._lifecycle.state.value,
            "scenario": labels.scenario,
            "impl": labels.impl,
            "variant": labels.variant,
            "commit": labels.commit,
            "dataset": labels.dataset,
            "machine": self._machine,
            "run_id": run.id if run else "",
            "ebpf": self._ebpf(),
            "armed": self._armed(),
            "processes": [
                {"role": role, "pid": pid} for role, pid in self._collector.processes().items()
            ],
        }

    def report(self, report: Report) -> None:
        self._series.report(LabelSet.of(report.labels, self._machine), report)

    async def refresh(self) -> None:
        """Fold what is in flight, so that the series show it; concurrent callers share one."""
        if self._refreshing is not None:
            await self._refreshing.wait()
            return
        run = self._run
        if run is None or run.arming is None or self._lifecycle.state is not State.RUNNING:
            return
        self._refreshing = trio.Event()
        try:
            observed = await self._collector.refresh()
            # it may have been stopped meanwhile: then the series have its final numbers already
            if run is self._run and not run.finished.is_set():
                self._show(run, observed)
        finally:
            self._refreshing.set()
            self._refreshing = None

    def last_evidence(self) -> Json | None:
        return next(reversed(self._kept.values()), None)

    def evidence(self, run_id: str) -> Json | None:
        return self._kept.get(run_id)

    @property
    def series(self) -> SeriesStore:
        return self._series

    def health(self) -> list[HealthMetric]:
        available = bool(self._ebpf()["available"])
        return self._totals.metrics(self._armed(), available, self._collector.processes())

    def _armed(self) -> dict[str, bool]:
        """Which sections have probes attached; none without the process that holds them."""
        lost = self._collector.lost.is_set()
        sections = [] if self._run is None or lost else self._run.sections
        return {section: section in sections for section in SECTIONS}

    # --- the work behind it

    def _spawn(self, work: Any, run: _Run) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(work, run)

    async def _prepare(self) -> None:
        try:
            await self._collector.prepare()
            self._note(None)
        except CannotCollect as error:
            self._note(error)

    async def _arm(self, run: _Run) -> None:
        run.meter = CpuMeter(self._collector.processes())
        try:
            run.arming = await self._collector.start(run.request, run.collection.take)
            run.started_ns = run.arming.start_ns
        except CannotCollect as error:
            run.failure = error
        self._note(run.failure)
        self._lifecycle.fire(Event.ARMED)
        run.armed.set()

    async def _finish(self, run: _Run) -> None:
        stopped = await self._collector.stop() if run.arming else None
        run.evidence = self._evidence(run, stopped)
        if stopped is not None:
            self._totals.finish(stopped.observed, run.collection)
        verdict = run.evidence["completeness"]["verdict"]
        totals = (
            evidence.run_totals(run.collection, stopped.observed, run.sections)
            if stopped
            else evidence.NOTHING_MEASURED
        )
        self._series.commit(run.label_set, totals, "fail" if verdict == "invalid" else "success")
        self._totals.count_run(verdict)
        self._keep(run)
        self._run = None
        self._lifecycle.fire(Event.STOPPED)
        run.finished.set()

    def _show(self, run: _Run, observed: Observed) -> None:
        totals = evidence.run_totals(run.collection, observed, run.sections)
        self._series.set_live(run.label_set, totals)
        self._totals.advance(observed, run.collection)

    def _keep(self, run: _Run) -> None:
        self._kept[run.id] = run.evidence
        while len(self._kept) > KEPT_EVIDENCE:
            self._kept.popitem(last=False)

    def _note(self, failure: CannotCollect | None) -> None:
        """Remember whether eBPF can be had, for /status."""
        self._failure = failure
        self._available = failure is None
        if failure is not None:
            LOGGER.warning("cannot collect (%s): %s", failure.code, failure.message)

    def _ebpf(self) -> Json:
        if self._collector.lost.is_set():
            return {"available": False, "code": "supervisor_lost", "reason": SUPERVISOR_LOST}
        if self._failure is not None:
            return {
                "available": False,
                "code": self._failure.code,
                "reason": self._failure.message,
            }
        return {"available": self._available, "reason": None}

    def _started(self, run: _Run) -> Json:
        answer: Json = {"status": "started", "run_id": run.id, "available": run.failure is None}
        if run.failure is not None:
            answer |= {"code": run.failure.code, "reason": run.failure.message}
        if run.arming is not None:
            answer |= {"armed": run.sections, "unavailable": dict(run.arming.unavailable)}
        return answer

    def _evidence(self, run: _Run, stopped: Stopped | None) -> Json:
        stop_ns = stopped.stop_ns if stopped else time.monotonic_ns()
        document: Json = {
            "available": stopped is not None,
            "run_id": run.id,
            "labels": run.label_set._asdict(),
            "started_at": run.started_at.isoformat(timespec="milliseconds"),
            "stopped_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "duration_s": (stop_ns - run.started_ns) / 1e9,
        }
        if stopped is None or run.arming is None:
            failure = run.failure
            assert failure is not None
            return document | {
                "code": failure.code,
                "reason": failure.message,
                "manifest": manifest(None),
                "completeness": evidence.completeness({}, {failure.code: failure.message}, {}),
                "overhead": self._overhead(run, None, stop_ns),
            }
        document |= evidence.sections(run.collection, stopped.observed, run.sections)
        if run.arming.unavailable:
            document["unavailable"] = dict(run.arming.unavailable)
        streams = dict(stopped.observed.streams) | {"offcpu": stopped.observed.blocked_counts}
        return document | {
            "manifest": manifest(run.arming),
            "completeness": evidence.completeness(streams, stopped.faults, run.arming.unavailable),
            "overhead": self._overhead(run, stopped, stop_ns),
        }

    def _overhead(self, run: _Run, stopped: Stopped | None, stop_ns: int) -> Json:
        rows = run.meter.rows()
        cost: Json = {
            "wall_ms": (stop_ns - run.started_ns) / 1e6,
            "agent_cpu_ms": round(sum(row["cpu_ms"] or 0 for row in rows), 3),
            "processes": rows,
        }
        if stopped is not None:
            observed = stopped.observed
            cost |= {
                "events": sum(counts.received for counts in observed.streams.values()),
                "events_by_stream": {n: c.received for n, c in observed.streams.items()},
                "drains": observed.drains,
                "drain_ms": round(observed.drain_seconds * 1000, 3),
                "programs": list(stopped.programs),
            }
        return cost


SUPERVISOR_LOST = (
    "the privileged process of the agent is gone, and with it every probe; "
    "restart the agent to collect again"
)
