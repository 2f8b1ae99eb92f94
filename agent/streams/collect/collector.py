"""Collecting through eBPF: the supervisor attaches, this process drains and reads the tables."""

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import trio

from agent.model import StartRequest
from agent.streams.collect import task_summaries
from agent.streams.collect.arming import read_arming, scope_numbers
from agent.streams.collect.details import DetailTables
from agent.streams.collect.observed import Arming, Observed, Stopped
from agent.streams.collect.observer import NO_EDGE, Observer, monotonic_ns
from agent.streams.collect.tables import Tables
from agent.streams.drain.batches import Sink
from agent.streams.drain.client import SupervisorClient
from agent.streams.drain.poller import Drain
from agent.streams.drain.transport import Transports
from agent.streams.shared import messages, specs
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.channel import Reply
from agent.streams.shared.messages import (
    ArmAnswer,
    ArmRequest,
    DisarmAnswer,
    DisarmRequest,
    PrepareAnswer,
    PrepareRequest,
    RescopeRequest,
)
from agent.streams.shared.plan import Plan

DRAIN_INTERVAL_S = 1.0
"""Between two looks at the buffer; when it fills faster than that, the kernel wakes us. A scrape
folds what is there, so nobody waits for this."""


LOGGER = logging.getLogger("agent.collector")

FOLLOW_INTERVAL_S = 0.05
"""Between two looks at whether tasks were moved between cgroups."""


class KernelCollector:
    """One run at a time. ``run`` owns its tasks; the other methods are called by the recorder."""

    def __init__(
        self, client: SupervisorClient, default: Plan, transports: Transports | None = None
    ) -> None:
        self._client = client
        self._default = default
        self._transports = transports or Transports(client)
        self._observer: Observer | None = None
        self._drain: Drain | None = None
        self._drain_scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._began = NO_EDGE
        self._faults: dict[str, str] = {}

    @property
    def lost(self) -> trio.Event:
        """Set when nothing can be collected any more."""
        return self._client.lost

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._client.run)
            task_status.started()
            await trio.sleep_forever()

    async def prepare(self) -> None:
        """Compile and load ahead of the first run. Raises CannotCollect."""
        transport, _ = await self._transports.open(self._default.transport)
        plan = replace(self._default, transport=transport)
        reply = await self._client.ask(PrepareRequest(plan, wants_tables=self._observer is None))
        if refused := reply.answer.newer_refused:
            LOGGER.warning("optional kernel features disabled: %s", refused)
        self._adopt(reply)

    async def start(self, request: StartRequest, sink: Sink) -> Arming:
        """Attach, and begin to feed the sink. Raises CannotCollect; then nothing is attached."""
        wanted = request.transport or self._default.transport
        transport, reader = await self._transports.open(wanted)
        # an arming that failed half-way may have left records
        reader.discard()
        plan = Plan(
            request.sections,
            request.scope.kind != "system",
            request.timing or self._default.timing,
            transport,
            request.details,
        ).possible()
        reply = await self._client.ask(
            ArmRequest(
                plan,
                scope_numbers(request.scope),
                request.measure_probes,
                wants_tables=self._observer is None,
            )
        )
        observer = self._adopt(reply)
        arming = read_arming(reply.answer, plan, request.scope)
        sizes = observer.geometry.detail_sizes(plan.details)
        tables = _detail_tables(reply.fds, sizes, tuple(arming.details))
        observer.begin(plan.scoped, tables, specs.EXEC_FAILURES in arming.details)
        self._began = observer.edge(reply.answer.disks)
        self._faults = {}
        self._drain = Drain(reader, observer.batches, sink)
        self._drain_scope = trio.CancelScope()
        assert self._nursery is not None
        follow_cgroup = request.scope.kind == "cgroup"
        self._nursery.start_soon(self._work, observer.tables, transport, follow_cgroup)
        return arming

    async def refresh(self) -> Observed:
        """Everything that has happened up to now, folded."""
        drain, observer = self._drain, self._observer
        assert drain is not None
        assert observer is not None
        await drain.drain_all()
        return observer.observed(drain, until_ns=None)

    async def stop(self) -> Stopped:
        """Detach and take the rest. Works without the supervisor too: its maps are still here."""
        drain, observer = self._drain, self._observer
        assert drain is not None
        assert observer is not None
        faults = self._faults
        ended = observer.edge({})
        alive = task_summaries.none()
        try:
            reply = await self._client.ask(DisarmRequest())
            answer = reply.answer
            if messages.SUMMARIES in reply.fds:
                alive = task_summaries.from_file(reply.fds[messages.SUMMARIES])
        except CannotCollect as error:
            faults[error.code] = error.message
            answer = DisarmAnswer(monotonic_ns())
        ended = replace(ended, outer_disks=answer.disks)
        self._drain_scope.cancel()
        await drain.drain_all()
        observed = observer.observed(drain, until_ns=answer.stop_ns)
        if answer.wait_functions is not None:
            stacks = answer.wait_functions
            observed = observer.with_wait_functions(observed, stacks, answer.stop_ns)
        # the kernel's exact count, where it has one
        exact = answer.refused_records
        self._drain = None
        return Stopped(
            answer.stop_ns,
            observed,
            (self._began, ended),
            alive,
            tuple(asdict(program) for program in answer.programs),
            faults,
            drain.refused if exact is None else exact,
        )

    async def abandon(self) -> None:
        """Detach and forget the run, whatever state it is in. Raises nothing."""
        self._drain_scope.cancel()
        self._drain = None
        with contextlib.suppress(CannotCollect):
            await self._client.ask(DisarmRequest())

    def processes(self) -> dict[str, int]:
        """Pids by role: this process, the supervisor, and the compiler while there is one."""
        supervisor = self._client.supervisor_pid
        processes = {"agent": os.getpid()}
        if not self._client.lost.is_set():
            processes["supervisor"] = supervisor
            for pid in _children(supervisor) - {os.getpid()}:
                processes["compiler"] = pid
        return processes

    async def _work(self, tables: Tables, transport: str, follow_cgroup: bool) -> None:
        """Everything that goes on during a run, until it is stopped."""
        assert self._drain is not None
        try:
            with self._drain_scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._drain.run, DRAIN_INTERVAL_S)
                    nursery.start_soon(self._transports.follow_cpus, transport)
                    if follow_cgroup:
                        nursery.start_soon(self._follow_cgroup, tables)
        except* Exception as errors:
            # A run whose events cannot be read is invalid; the agent goes on.
            LOGGER.exception("draining failed")
            self._faults["draining_failed"] = "; ".join(str(e) for e in errors.exceptions)

    async def _follow_cgroup(self, tables: Tables) -> None:
        """Have the members looked up anew whenever tasks were moved between cgroups."""
        seen = 0
        while True:
            moves = tables.count("cgroup_moves")
            if moves != seen:
                seen = moves
                try:
                    await self._client.ask(RescopeRequest())
                except CannotCollect:
                    return  # the stop will say so
            await trio.sleep(FOLLOW_INTERVAL_S)

    def _adopt(self, reply: Reply[PrepareAnswer] | Reply[ArmAnswer]) -> Observer:
        """Map the tables that came with the first answer; they stay the same for good."""
        if self._observer is None:
            self._observer = Observer(reply.answer.geometry, reply.fds)
        return self._observer


def _detail_tables(
    fds: Mapping[str, int], sizes: Mapping[str, int], details: tuple[str, ...]
) -> DetailTables | None:
    return DetailTables({name: fds[name] for name in sizes}, sizes, details) if sizes else None


def _children(pid: int) -> set[int]:
    """Children of another process (CONFIG_PROC_CHILDREN); empty where that cannot be told."""
    try:
        return {
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        }
    except OSError:
        return set()
