"""Collecting through eBPF: the supervisor attaches, this process drains and reads the tables."""

import contextlib
import logging
import mmap
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import trio

from agent.model import StartRequest
from agent.streams.collect import task_summaries
from agent.streams.collect.arming import read_arming, scope_message
from agent.streams.collect.observed import Arming, Observed, Stopped
from agent.streams.collect.observer import NO_EDGE, Observer, monotonic_ns
from agent.streams.collect.tables import Tables, mapped
from agent.streams.drain.batches import Sink
from agent.streams.drain.client import Reply, SupervisorClient, close_all
from agent.streams.drain.poller import Drain
from agent.streams.drain.transport import Transports
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.layout import Geometry
from agent.streams.shared.messages import MAPS_FOR_THE_AGENT
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
        reply = await self._client.ask("prepare", plan=plan.message())
        if refused := reply.message["newer_refused"]:
            LOGGER.warning("doing without what this kernel makes cheaper: %s", refused)
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
        )
        reply = await self._client.ask(
            "arm",
            plan=plan.message(),
            scope=scope_message(request.scope),
            measure_probes=request.measure_probes,
        )
        observer = self._adopt(reply)
        arming = read_arming(reply.message, plan, request.scope)
        sizes = observer.geometry.detail_sizes(plan.details)
        observer.begin(plan, tuple(arming.details), _detail_tables(reply, sizes))
        self._began = observer.edge(reply.message["kernel_counts"])
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
            reply = await self._client.ask("disarm")
            message = reply.message
            if message["summaries"]:
                alive = task_summaries.from_file(reply.fds[0])
        except CannotCollect as error:
            faults[error.code] = error.message
            message = {"stop_ns": monotonic_ns(), "programs": []}
        ended = replace(ended, outer=message.get("kernel_counts", {}))
        self._drain_scope.cancel()
        await drain.drain_all()
        observed = observer.observed(drain, until_ns=message["stop_ns"])
        if "wait_functions" in message:
            observed = observer.with_wait_stacks(observed, message["wait_functions"])
        # the kernel's exact count, where it has one
        refused = message.get("refused_records", drain.refused)
        self._drain = None
        return Stopped(
            message["stop_ns"],
            observed,
            (self._began, ended),
            alive,
            tuple(message["programs"]),
            faults,
            refused,
        )

    async def abandon(self) -> None:
        """Detach and forget the run, whatever state it is in. Raises nothing."""
        self._drain_scope.cancel()
        self._drain = None
        with contextlib.suppress(CannotCollect):
            await self._client.ask("disarm")

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
                    await self._client.ask("rescope")
                except CannotCollect:
                    return  # the stop will say so
            await trio.sleep(FOLLOW_INTERVAL_S)

    def _adopt(self, reply: Reply) -> Observer:
        """Map what came with the first answer; later ones bring nothing new."""
        if self._observer is None:
            geometry = Geometry(**reply.message["geometry"])
            fds = reply.fds[: len(MAPS_FOR_THE_AGENT)]
            self._observer = Observer(geometry, dict(zip(MAPS_FOR_THE_AGENT, fds, strict=True)))
        return self._observer


def _detail_tables(reply: Reply, sizes: Mapping[str, int]) -> dict[str, mmap.mmap]:
    names: list[str] = reply.message["details"]
    fds = reply.fds[len(reply.fds) - len(names) :]
    try:
        return {name: mapped(fd, sizes[name]) for name, fd in zip(names, fds, strict=True)}
    finally:
        close_all(fds)


def _children(pid: int) -> set[int]:
    """Children of another process (CONFIG_PROC_CHILDREN); empty where that cannot be told."""
    try:
        return {
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        }
    except OSError:
        return set()
