"""Collection through eBPF: the supervisor attaches, this process drains and reads the tables."""

import contextlib
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

import trio

from agent import small_files
from agent.errors import ScopeError
from agent.model import StartRequest
from agent.sections.offcpu.probe import WALL
from agent.sections.probes import needed_details
from agent.streams.collect import cgroups, task_summaries
from agent.streams.collect.arming import read_arming
from agent.streams.collect.cpu_quota import meter_of
from agent.streams.collect.observed import Arming, Observed, Stopped
from agent.streams.collect.observer import Mapped, Observer
from agent.streams.collect.running import Running, Work
from agent.streams.collect.scopes import cgroup_at_stop, scope_numbers
from agent.streams.collect.tables import mapped_table
from agent.streams.collect.task_summaries import Reports, Summaries
from agent.streams.drain.folded import MAPS
from agent.streams.drain.poller import Drain, Receiver
from agent.streams.drain.transport import Asks, Transports
from agent.streams.shared import messages, refusals
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.channel import Reply, close_all
from agent.streams.shared.messages import (
    ArmAnswer,
    ArmRequest,
    DisarmAnswer,
    DisarmRequest,
    PrepareAnswer,
    PrepareRequest,
    RescopeRequest,
    SupportRequest,
)
from agent.streams.shared.namespaces import proc_is_ours
from agent.streams.shared.plan import Plan
from agent.streams.shared.support import Support

LOGGER = logging.getLogger("agent.collector")

FOLLOW_INTERVAL_S = 0.05
"""Interval between checks for tasks moved between cgroups."""


class Supervisor(Asks, Protocol):
    """What the collector needs of `agent.streams.drain.client.SupervisorClient`."""

    supervisor_pid: int
    lost: trio.Event

    async def run(self) -> None: ...


class KernelCollector:
    """One run at a time. ``run`` owns its tasks; the other methods are called by the recorder."""

    def __init__(
        self, client: Supervisor, default: Plan, transports: Transports | None = None
    ) -> None:
        self._client = client
        self._default = default
        self._transports = transports or Transports(client)
        self._mapped: Mapped | None = None
        self._nursery: trio.Nursery | None = None
        self._running: Running | None = None
        self._support: tuple[Support, ...] = ()

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
        await self._find_support()
        transport, _ = await self._transports.open(self._default.transport)
        plan = _with_needed_details(replace(self._default, transport=transport))
        reply = await self._client.ask(PrepareRequest(plan, wants_tables=self._mapped is None))
        if refused := reply.answer.newer_refused:
            LOGGER.warning("optional kernel features disabled: %s", refused)
        self._adopt(reply)

    async def start(self, request: StartRequest, receiver: Receiver, run_id: str = "") -> Arming:
        """Attach, and begin to feed the receiver. Raises CannotCollect, ScopeError.

        After either error nothing is attached; after any other, call `abandon`.
        """
        try:
            return await self._start(request, receiver, run_id)
        except (CannotCollect, ScopeError):
            with contextlib.suppress(CannotCollect):  # the supervisor may be gone
                await self._find_support()
            raise

    async def _start(self, request: StartRequest, receiver: Receiver, run_id: str) -> Arming:
        wanted = request.transport or self._default.transport
        transport, reader = await self._transports.open(wanted)
        # an arming that failed half-way may have left records
        reader.discard()
        plan = self._plan(request, transport)
        numbers = scope_numbers(request.scope, request.owner)
        reply = await self._client.ask(
            ArmRequest(
                plan,
                numbers,
                request.measure_probes,
                wants_tables=self._mapped is None,
                run_id=run_id,
            )
        )
        if reply.answer.features is not None:
            self._support = reply.answer.features
        cgroup_id = numbers.cgroups[-1] if numbers.cgroups else 0
        with contextlib.ExitStack() as received:
            # a mapping has a descriptor of its own
            received.callback(close_all, _but(messages.TABLES, reply.fds))
            mapped = self._adopt(reply)
            arming = read_arming(reply.answer, plan, request.scope, cgroup_id)
            observer = _observer(mapped, reply, plan, arming)
        drain = Drain(reader, observer.batches, mapped.folded(), receiver)
        counts, differing = reply.answer.kernel_counts, reply.answer.differing
        began = observer.with_outer(observer.edge(), counts, differing)
        quota = meter_of(request.scope, arming.scope)
        self._begin(Running(observer, drain, began, request.scope, quota), plan, request)
        return arming

    def tree_has_ended(self) -> bool:
        """Return whether the last task of the run's tree has exited; False if it has no tree."""
        return self._running is not None and self._running.tree_ended_ns() is not None

    async def refresh(self) -> Observed:
        """Fold and return everything up to now."""
        return await self._current().observed()

    async def so_far(self) -> Stopped:
        """Return what a stop would, without what only that tells; nothing is detached."""
        return await self._current().so_far()

    async def stop(self) -> Stopped:
        """Detach and take the rest. Works without the supervisor too: its maps are still mapped."""
        running = self._current()
        ended, throttling = running.observer.edge(), running.throttling()
        found = cgroups.id_at(running.cgroup) if running.cgroup else None
        answer, alive, reports = await self._disarm(running)
        running.cancel()
        stopped = await running.stopped(ended, throttling, answer, alive)
        stopped = replace(stopped, reports=reports)
        if running.cgroup:
            scope, gaps = cgroup_at_stop(running.cgroup, answer, found)
            stopped = replace(stopped, scope=scope, gaps=gaps)
        self._running = None
        return stopped

    async def abandon(self) -> None:
        """Detach and forget the run, whatever state it is in. Raises nothing."""
        if self._running is not None:
            self._running.abandon()
            self._running = None
        try:
            reply = await self._client.ask(DisarmRequest())
            close_all(reply.fds.values())
            await self._find_support()  # the answer to the start may not have arrived
        except CannotCollect:
            pass  # it detached everything, or it is gone and the kernel did
        except Exception:
            LOGGER.exception("failed to abandon a run cleanly")

    def support(self) -> tuple[Support, ...]:
        """Return what the machine offered when that was last tried; empty before."""
        return self._support

    def processes(self) -> dict[str, int]:
        """Return pids by role: this process, the supervisor, and the compiler if one is running."""
        supervisor = self._client.supervisor_pid
        processes = {"agent": os.getpid()}
        if not self._client.lost.is_set():
            processes["supervisor"] = supervisor
            for pid in _children(supervisor) - {os.getpid()}:
                processes["compiler"] = pid
        return processes

    async def _find_support(self) -> None:
        self._support = (await self._client.ask(SupportRequest())).answer.features

    def _plan(self, request: StartRequest, transport: str) -> Plan:
        plan = Plan(
            request.sections,
            request.scope.kind != "system",
            request.timing or self._default.timing,
            transport,
            (*request.details, WALL.name) if request.wall else request.details,
        )
        return _with_needed_details(plan)

    def _begin(self, running: Running, plan: Plan, request: StartRequest) -> None:
        assert self._nursery is not None
        others: list[Work] = [partial(self._transports.follow_cpus, plan.transport)]
        if request.scope.kind == "cgroup":
            others.append(partial(self._follow_cgroup, running))
        self._nursery.start_soon(running.work, *others)
        self._running = running

    def _current(self) -> Running:
        if self._running is None:
            raise RuntimeError("no run is in progress")
        return self._running

    async def _disarm(self, running: Running) -> tuple[DisarmAnswer, Summaries, Reports]:
        """Disarm; return the supervisor's answer, and what is said of tasks still alive."""
        nothing = task_summaries.none(), task_summaries.no_reports()
        try:
            reply = await self._client.ask(DisarmRequest())
        except (CannotCollect, OSError) as error:
            # without its supervisor everything is detached, as it is if the answer did not fit
            cause = refusals.refused("stop", error) if isinstance(error, OSError) else error
            running.faults[cause.code] = cause.message
            return DisarmAnswer(running.observer.now_ns()), *nothing
        if messages.SUMMARIES not in reply.fds:
            return reply.answer, *nothing
        fd = reply.fds[messages.SUMMARIES]
        return reply.answer, *task_summaries.from_file(fd, reply.answer.reports)

    async def _follow_cgroup(self, running: Running) -> None:
        """Have membership determined again whenever tasks were moved between cgroups."""
        seen = 0
        while True:
            moves = running.observer.tables.count("cgroup_moves")
            if moves != seen:
                seen = moves
                try:
                    await self._client.ask(RescopeRequest())
                except CannotCollect as error:
                    # it has detached everything, or it is gone
                    running.faults[error.code] = error.message
                    return
            await trio.sleep(FOLLOW_INTERVAL_S)

    def _adopt(self, reply: Reply[PrepareAnswer] | Reply[ArmAnswer]) -> Mapped:
        """Map the tables that came with the first answer; they never change after that."""
        if self._mapped is None:
            tables = {name: reply.fds[name] for name in messages.TABLES}
            with contextlib.ExitStack() as unless_mapped:
                unless_mapped.callback(close_all, tables.values())
                self._mapped = Mapped(reply.answer.geometry, tables)
                unless_mapped.pop_all()
            close_all(_but(MAPS, tables))
        return self._mapped


def _with_needed_details(plan: Plan) -> Plan:
    needed = needed_details(plan.sections)
    return replace(plan, details=(*plan.details, *needed)).possible()


def _observer(mapped: Mapped, reply: Reply[ArmAnswer], plan: Plan, arming: Arming) -> Observer:
    sizes = mapped.geometry.detail_sizes(plan.details)
    tables = {name: mapped_table(reply.fds[name], size) for name, size in sizes.items()}
    offset_ns = reply.answer.clock_offset_ns
    return Observer(mapped, plan, tuple(arming.details), tables, offset_ns)


def _but(names: Collection[str], fds: Mapping[str, int]) -> list[int]:
    """Return the file descriptors with other names."""
    return [fd for name, fd in fds.items() if name not in names]


def _children(pid: int) -> set[int]:
    """Return another process's children (CONFIG_PROC_CHILDREN); empty if they cannot be read."""
    if not proc_is_ours():
        return set()
    try:
        return set(map(int, small_files.read(f"/proc/{pid}/task/{pid}/children").split()))
    except (OSError, ValueError):  # or something else is mounted over it
        return set()
