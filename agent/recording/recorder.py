"""The owner of the run: arms it, feeds its collection, stops it, and keeps the evidence.

Every start and stop is carried out by a task in the recorder's own nursery. The caller only waits
for it, so a client that disconnects early changes nothing.
"""

import logging
from dataclasses import asdict
from typing import Any

import trio

from agent.aggregate.series import LabelSet, Result, SeriesStore
from agent.errors import InvalidRequest, NotRunning, RunInProgress, check_owner
from agent.evidence.cost import CpuMeter
from agent.internal_metrics import InternalMetric
from agent.model import TREES, Labels, Report, StartRequest
from agent.recording import document, label_sets, without_ebpf
from agent.recording.availability import Availability
from agent.recording.collector import Collector
from agent.recording.conclusion import conclude
from agent.recording.defects import cause, log
from agent.recording.internal_totals import InternalTotals
from agent.recording.keeper import Keeper
from agent.recording.keeping import Keeping
from agent.recording.lifecycle import Event, Lifecycle, State
from agent.recording.recent import RecentEvidence
from agent.recording.run import EndedBy, Run
from agent.recording.run_lines import tell_of_end, tell_of_start
from agent.recording.starvation import tell_of_starvation
from agent.sections.probes import SECTIONS
from agent.streams.collect.observed import Observed
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.namespaces import process_exists
from agent.streams.shared.support import Support
from agent.this_machine import boot_id
from agent.words import INVALID, Json

LOOK_S = 1.0
"""Interval between two looks whether a run's tree has ended. A start looks at once."""

LOGGER = logging.getLogger("agent.recording.recorder")


class Recorder:
    """The implementation of `agent.http.api.RecorderAPI`."""

    def __init__(
        self,
        collector: Collector,
        machine: str,
        series: SeriesStore,
        *,
        mock: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        """``mock``: the collector's events are synthetic, and everything has to say so.

        ``keeper``: None if runs are not kept for longer than this object.
        """
        self._keeping = Keeping(collector, keeper)
        self._collector = collector
        self._machine = machine
        self._series = series
        self._mock = mock
        self._lifecycle = Lifecycle()
        self._run: Run | None = None
        self._unclaimed: Run | None = None
        """A run that nobody has stopped over HTTP (it ended by itself, or as the agent ends), until
        a stop asks for its evidence or another begins."""
        self._recent = RecentEvidence()
        self._totals = InternalTotals()
        self._availability = Availability(collector.lost, mock=mock)
        self._nursery: trio.Nursery | None = None
        self._refreshing: trio.Event | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out starts and stops until cancelled. Begins by loading the programs."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._prepare)
            task_status.started()
            await trio.sleep_forever()

    # --- called by the routes

    async def start(self, request: StartRequest) -> Json:
        """Begin a run. Raises RunInProgress, or InvalidRequest for a scope that does not exist."""
        await self._end_what_is_over()
        if self._lifecycle.state is not State.IDLE:
            assert self._run is not None
            raise RunInProgress(
                self._run.id,
                document.moment(self._run.started_at),
                may_stop=request.owner in (None, self._run.request.owner),
            )
        self._lifecycle.fire(Event.START)
        run = self._run = Run(request, self._machine, mock=self._mock)
        self._spawn(self._arm, run)
        await run.armed.wait()
        if run.refusal is not None:
            raise run.refusal
        return document.started(run) | run.label_sets

    async def stop(self, owner: int | None = None) -> Json:
        """End the run and return its evidence, or that of a run that has ended by itself.

        The latter once, until another run has begun. ``owner``: the user who asks, if that is one
        who may only stop his own runs. Raises NotRunning, ForbiddenUser.
        """
        run = await self._stopping(owner)
        self._unclaimed = None
        await run.finished.wait()
        return run.evidence

    async def stop_run(self, run_id: str, owner: int | None = None) -> Json | None:
        """Do the same to the run of that id only, however often; None if it is not known."""
        for run in (self._run, self._unclaimed):
            if run is not None and run.id == run_id:
                check_owner(run_id, run.request.owner, owner)
                await self._ended(run)
        return self._recent.of_run(run_id, owner)

    async def stop_as_agent_ends(self) -> Json:
        """Do the same, and leave the evidence to a stop that is on its way. Raises NotRunning."""
        run = self._unclaimed = await self._stopping(None)
        run.cut_short = run.ended_by == "stop"
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
            "boot_id": boot_id(),
            "mock": self._mock,
            "run_id": run.id if run else "",
            "ebpf": self._availability.described(),
            "store": self._keeping.keeper.status(),
            "support": [_described(support) for support in self._collector.support()],
            "armed": self._armed(),
            "transport": run.arming.transport if run and run.arming else "",
            "processes": [
                {"role": role, "pid": pid} for role, pid in self._collector.processes().items()
            ],
        }

    def why_not_ready(self) -> str | None:
        """Return why a start would have to wait, or be in vain; None if it would not.

        A machine that cannot be measured is no such reason: a start says so, and goes on.
        """
        return self._availability.why_not_ready()

    def report(self, report: Report) -> Json:
        room = self._series.report(LabelSet.of(report.labels, self._machine), report)
        return label_sets.answer(room, self._series)

    async def refresh(self) -> None:
        """Fold the events in flight into the series; concurrent callers share one refresh."""
        if self._refreshing is not None:
            await self._refreshing.wait()
            return
        run = self._run
        if run is None or run.arming is None or self._lifecycle.state is not State.RUNNING:
            return
        self._refreshing = trio.Event()
        try:
            observed = await self._collector.refresh()
            # if the run was stopped in the meantime, the series already have its final numbers
            if run is self._run and not run.finished.is_set():
                self._show(run, observed)
        finally:
            self._refreshing.set()
            self._refreshing = None

    def last_evidence(self, owner: int | None = None) -> Json | None:
        """Return the evidence of the last run, or of the last that ``owner`` has begun."""
        return self._recent.last(owner)

    def evidence(self, run_id: str, owner: int | None = None) -> Json | None:
        """Return a run's evidence, if it is kept. Raises ForbiddenUser for another user's."""
        return self._recent.of_run(run_id, owner)

    @property
    def series(self) -> SeriesStore:
        return self._series

    def internal_metrics(self) -> list[InternalMetric]:
        available = False if self._mock else self._availability.described()["available"]
        own = self._totals.metrics(
            self._armed(), available, self._collector.processes(), self._mock
        )
        return [*own, *self._keeping.metrics()]

    def _armed(self) -> dict[str, bool]:
        """Return which sections have probes attached; none once the supervisor is gone."""
        lost = self._collector.lost.is_set()
        armed = [] if self._run is None or lost else self._run.sections
        return {section: section in armed for section in SECTIONS}

    # --- tasks that carry out the requests, and their helpers

    def _spawn(self, work: Any, run: Run) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(work, run)

    async def _stopping(self, owner: int | None) -> Run:
        """Return the run that a stop is about, which ends. Raises NotRunning, ForbiddenUser."""
        if self._lifecycle.state is State.ARMING:
            assert self._run is not None
            await self._run.armed.wait()
        run = self._unclaimed or self._in_progress()
        check_owner(run.id, run.request.owner, owner)
        if run is not self._unclaimed:
            self._end(run, "stop")
        return run

    async def _ended(self, run: Run) -> None:
        """Wait for the end of a run, which it is asked for unless it ends already."""
        await run.armed.wait()
        if run is self._run and self._lifecycle.state is State.RUNNING:
            self._end(run, "stop")
        if run is self._unclaimed:
            self._unclaimed = None
        if run.refusal is None:
            await run.finished.wait()

    def _in_progress(self) -> Run:
        """Return the run that can be ended. Raises NotRunning."""
        if self._lifecycle.state is not State.RUNNING:
            raise NotRunning
        assert self._run is not None
        return self._run

    def _end(self, run: Run, by: EndedBy) -> None:
        """Have the run in progress stopped."""
        self._lifecycle.fire(Event.STOP)
        run.ended_by = by
        self._spawn(self._finish, run)

    async def _end_what_is_over(self) -> None:
        """End a run of whose tree nothing is left; wait for the end of one that ends like that."""
        run = self._run
        if run is None:
            return
        if self._lifecycle.state is State.RUNNING and self._is_over(run):
            LOGGER.info("run %s ends: the last process of its scope has ended", run.id)
            self._end(run, "scope")
            self._unclaimed = run
        if run.ended_by == "scope":
            await run.finished.wait()

    def _is_over(self, run: Run) -> bool:
        """Return whether nothing is left, and nothing can follow, of what the run is about."""
        if run.arming is not None:
            return self._collector.tree_has_ended()
        if run.procfs is not None and run.procfs.follows_a_tree:
            return run.procfs.tree_has_ended()
        # nothing follows its descendants, and nothing is counted of them; of a caller over TCP not
        # even the process is known
        scope = run.request.scope
        return scope.kind in TREES and scope.pid != 0 and not process_exists(scope.pid)

    async def _watch(self, run: Run) -> None:
        """Have the run end by itself with its tree: its client may have been killed."""
        while not run.finished.is_set():
            with trio.move_on_after(LOOK_S):
                await run.finished.wait()
            if run is self._run:
                await self._end_what_is_over()

    async def _prepare(self) -> None:
        try:
            await self._collector.prepare()
            self._availability.note(None)
        except CannotCollect as error:
            self._availability.note(error)
        except Exception as error:  # noqa: BLE001  whatever it is, it is logged and the agent goes on
            # Whatever it is, the agent goes on: the next start tries again and says more.
            self._availability.note(cause("programs could not be prepared", error))

    async def _arm(self, run: Run) -> None:
        assert self._nursery is not None
        try:
            await self._attach(run)
            self._availability.note(run.failure)
            await without_ebpf.begin(run, self._nursery, self._collector.processes)
        except InvalidRequest as error:
            # a run that cannot cover the requested scope never began
            run.refusal = error
            self._run = None
            self._lifecycle.fire(Event.REFUSED)
            run.armed.set()
            return
        trio.lowlevel.add_instrument(run.stalls)
        self._lifecycle.fire(Event.ARMED)
        self._unclaimed = None
        run.label_sets = label_sets.answer(self._series.begin(run.label_set), self._series)
        await self._keeping.begun(run)
        if run.request.scope.kind in TREES:
            self._spawn(self._watch, run)
        self._spawn(self._keeping.follow, run)
        run.armed.set()
        log(tell_of_start, run)

    async def _attach(self, run: Run) -> None:
        """Attach what can be attached; if nothing can, the run goes on with a failure."""
        try:
            run.arming = await self._collector.start(run.request, run.collection, run.id)
            run.attached_ns = run.elapsed_ns()
            run.collection.timeline.begin(run.requested_ns + run.attached_ns)
            # start the meter only now: compiling a new plan is not a cost of the run
            run.meter = CpuMeter(self._collector.processes())
        except CannotCollect as error:
            run.failure = error
        except InvalidRequest:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is logged and the agent goes on
            run.arming = None
            await self._give_up(run, cause(f"run {run.id} could not be armed", error))

    async def _finish(self, run: Run) -> None:
        run.ended_ns = run.elapsed_ns()
        run.following.cancel()
        await without_ebpf.end(run)
        try:
            stopped = run.as_it_ended(await self._collector.stop()) if run.arming else None
            verdict, totals = conclude(run, stopped, self._totals)
            run.evidence = document.build(run, stopped, verdict)
            tell_of_starvation(run.evidence)
        except Exception as error:  # noqa: BLE001  whatever it is, it is logged and the agent goes on
            # On any error the run ends and reports it, nothing stays attached, the agent goes on.
            await self._give_up(run, cause(f"run {run.id} could not be concluded", error))
            verdict, totals = conclude(run, None, self._totals)
            run.evidence = document.build(run, None, verdict)
        trio.lowlevel.remove_instrument(run.stalls)
        result: Result = "fail" if verdict.verdict == INVALID else "success"
        self._series.commit(run.label_set, totals, result, document.last_run(run, verdict))
        self._totals.count_run(verdict)
        self._recent.add(run)
        self._run = None
        self._lifecycle.fire(Event.STOPPED)
        await self._keeping.ended(run)
        run.finished.set()
        log(tell_of_end, run)

    async def _give_up(self, run: Run, cause: CannotCollect) -> None:
        """Detach everything after an error in this process, and note its cause in the run."""
        await self._collector.abandon()
        run.failure = cause

    def _show(self, run: Run, observed: Observed) -> None:
        totals = run.collection.totals(observed, run.sections)
        self._series.set_live(run.label_set, totals)
        self._totals.advance(observed, run.collection)


def _described(support: Support) -> Json:
    """Return a feature as /status shows it, with null for what does not apply."""
    return {name: None if value == "" else value for name, value in asdict(support).items()}
