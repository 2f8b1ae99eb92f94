"""Collecting through eBPF: the supervisor attaches, this process drains and reads the tables."""

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import trio

from agent.model import DETAILS, Scope, StartRequest
from agent.streams import cgroups, reports, specs
from agent.streams.batches import OpenBatches, Sink
from agent.streams.causes import CannotCollect
from agent.streams.client import Reply, SupervisorClient
from agent.streams.details import DetailTables
from agent.streams.kernel_counts import Edge, KernelCounts, online_cpus, read_kernel_counts
from agent.streams.layout import (
    COUNTER_FIELDS,
    STREAM_NAMES,
    STREAM_RUNQLAT,
    SYSCALL_COMPAT,
    Geometry,
)
from agent.streams.messages import MAPS_FOR_THE_AGENT
from agent.streams.observed import NO_DETAILS, Arming, Observed, Stopped, StreamCounts
from agent.streams.plan import Plan
from agent.streams.poller import Drain
from agent.streams.syscall_names import syscall_names
from agent.streams.tables import Tables
from agent.streams.transport import Transports

DRAIN_INTERVAL_S = 1.0
"""Between two looks at the buffer; when it fills faster than that, the kernel wakes us. A scrape
folds what is there, so nobody waits for this."""


LOGGER = logging.getLogger("agent.collector")

FOLLOW_INTERVAL_S = 0.05
"""Between two looks at whether tasks were moved between cgroups."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """The maps of the privileged side, as this process sees them."""

    geometry: Geometry
    batches: OpenBatches
    tables: Tables


class KernelCollector:
    """One run at a time. ``run`` owns its tasks; the other methods are called by the recorder."""

    def __init__(
        self, client: SupervisorClient, default: Plan, transports: Transports | None = None
    ) -> None:
        self._client = client
        self._default = default
        self._transports = transports or Transports(client)
        self._shared: _Shared | None = None
        self._drain: Drain | None = None
        self._drain_scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._names = syscall_names()
        self._scoped = False
        self._details: DetailTables | None = None
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
        self._adopt(await self._client.ask("prepare", plan=plan.message()))

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
            scope=_scope_message(request.scope),
            measure_probes=request.measure_probes,
        )
        shared = self._adopt(reply)
        arming = _arming(reply.message, plan, request.scope)
        sizes = shared.geometry.detail_sizes(plan.details)
        self._details = _detail_tables(reply, sizes, tuple(arming.details))
        self._scoped = plan.scoped
        self._began = self._edge(shared, reply.message)
        self._faults = {}
        self._drain = Drain(reader, shared.batches, sink)
        self._drain_scope = trio.CancelScope()
        assert self._nursery is not None
        follow_cgroup = request.scope.kind == "cgroup"
        self._nursery.start_soon(self._work, shared, transport, follow_cgroup)
        return arming

    async def refresh(self) -> Observed:
        """Everything that has happened up to now, folded."""
        drain = self._drain
        assert drain is not None
        await drain.drain_all()
        return self._observed(drain, until_ns=None)

    async def stop(self) -> Stopped:
        """Detach and take the rest. Works without the supervisor too: its maps are still here."""
        assert self._drain is not None
        assert self._shared is not None
        faults = self._faults
        ended = self._edge(self._shared, {})
        alive = reports.none()
        try:
            reply = await self._client.ask("disarm")
            message = reply.message
            if message["reports"]:
                alive = reports.from_file(reply.fds[0])
        except CannotCollect as error:
            faults[error.code] = error.message
            message = {"stop_ns": monotonic_ns(), "programs": []}
        ended = replace(ended, outer_disks=_outer_disks(message))
        self._drain_scope.cancel()
        await self._drain.drain_all()
        observed = self._observed(self._drain, until_ns=message["stop_ns"])
        if "wait_functions" in message:
            observed = self._with_wait_functions(observed, message)
        # the kernel's exact count, where it has one
        refused = message.get("refused_records", self._drain.refused)
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

    async def _work(self, shared: _Shared, transport: str, follow_cgroup: bool) -> None:
        """Everything that goes on during a run, until it is stopped."""
        assert self._drain is not None
        try:
            with self._drain_scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._drain.run, DRAIN_INTERVAL_S)
                    nursery.start_soon(self._transports.follow_cpus, transport)
                    if follow_cgroup:
                        nursery.start_soon(self._follow_cgroup, shared.tables)
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

    def _adopt(self, reply: Reply) -> _Shared:
        """Map what came with the first answer; later ones bring nothing new."""
        if self._shared is None:
            geometry = Geometry(**reply.message["geometry"])
            batches, counters, slots = reply.fds[: len(MAPS_FOR_THE_AGENT)]
            self._shared = _Shared(
                geometry,
                OpenBatches(batches, geometry),
                Tables(counters, slots, geometry),
            )
        return self._shared

    def _edge(self, shared: _Shared, message: Mapping[str, Any]) -> Edge:
        return Edge(
            kernel=read_kernel_counts(),
            switches=shared.batches.seen(STREAM_RUNQLAT),
            forks=shared.tables.count("all_forks"),
            suspended_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) - monotonic_ns(),
            online_cpus=online_cpus(),
            outer_disks=_outer_disks(message),
        )

    def _observed(self, drain: Drain, until_ns: int | None) -> Observed:
        assert self._shared is not None
        tables = self._shared.tables
        now_ns = until_ns or monotonic_ns()
        still = tables.still_blocked(now_ns, with_primed=self._scoped)
        return Observed(
            blocked=tables.blocked() + still,
            syscalls=self._syscalls(tables),
            streams=self._stream_counts(drain),
            blocked_counts=_blocked_counts(tables, int(still.count.sum())),
            counters=MappingProxyType({name: tables.count(name) for name in COUNTER_FIELDS}),
            drains=drain.drains,
            drain_seconds=drain.seconds,
            details=self._details.observed(now_ns, self._scoped, self._syscall_name)
            if self._details
            else NO_DETAILS,
        )

    def _with_wait_functions(self, observed: Observed, message: dict[str, Any]) -> Observed:
        assert self._shared is not None
        if self._details is None or "wait_functions" not in self._details.details:
            return observed
        waits = self._shared.tables.open_waits(message["stop_ns"])
        functions = self._details.wait_functions(message["wait_functions"], *waits)
        return replace(observed, details=replace(observed.details, wait_functions=functions))

    def _syscalls(self, tables: Tables) -> dict[str, int]:
        counts = enumerate(tables.syscalls().tolist())
        return {self._syscall_name(number): count for number, count in counts if count}

    def _syscall_name(self, number: int) -> str:
        if number == SYSCALL_COMPAT:
            return "compat"
        return self._names.get(number, f"syscall_{number}")

    def _stream_counts(self, drain: Drain) -> dict[str, StreamCounts]:
        assert self._shared is not None
        batches, tables = self._shared.batches, self._shared.tables
        fields = {name: batches.totals(name) for name in ("lost", "unmatched", "clamped")}
        produced, collided = batches.produced(), batches.totals("collided")
        in_flight, excluded = batches.totals("in_flight"), batches.totals("excluded")
        issued = tables.count("issued") - tables.count("completed") - tables.count("requeued")
        open_at_stop = (tables.waiting_for_a_cpu(), max(0, issued), 0, 0)
        return {
            name: StreamCounts(
                produced=produced[i],
                received=drain.ledger.received[i],
                lost=fields["lost"][i],
                unmatched=fields["unmatched"][i],
                clamped=fields["clamped"][i],
                collided=collided[i],
                in_flight_at_start=in_flight[i],
                in_flight_at_stop=open_at_stop[i],
                excluded=excluded[i],
            )
            for i, name in enumerate(STREAM_NAMES)
        }


NO_EDGE = Edge(KernelCounts(), 0, 0, 0, "")


def _outer_disks(message: Mapping[str, Any]) -> dict[int, dict[str, int]]:
    """What the supervisor read around attaching; JSON's keys are strings."""
    return {int(device): counts for device, counts in message.get("disks", {}).items()}


def _scope_message(scope: Scope) -> dict[str, Any]:
    """Numbers and addresses only: a path never reaches the privileged side."""
    message: dict[str, Any] = {"kind": scope.kind}
    if scope.kind == "pid":
        message["pid"] = scope.pid
    elif scope.kind == "cgroup":
        message["cgroup_id"] = cgroups.cgroup_id(scope.cgroup)
    elif scope.kind == "caller":
        message |= {"client": list(scope.client), "server": list(scope.server)}
    return message


def _described(scope: Scope, root: int) -> dict[str, Any]:
    """The scope as the evidence tells it."""
    described: dict[str, Any] = {"kind": scope.kind}
    if scope.kind == "cgroup":
        described["cgroup"] = scope.cgroup
    elif scope.kind != "system":
        described["pid"] = root
    return described


def _children(pid: int) -> set[int]:
    """Children of another process (CONFIG_PROC_CHILDREN); empty where that cannot be told."""
    try:
        return {
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        }
    except OSError:
        return set()


def monotonic_ns() -> int:
    """Now, on the clock of bpf_ktime_get_ns()."""
    return time.monotonic_ns()


def _blocked_counts(tables: Tables, still_open: int) -> StreamCounts:
    closed = int(tables.blocked().count.sum())
    return StreamCounts(
        produced=closed,
        received=closed,
        unmatched=tables.count("blocked_unmatched"),
        clamped=tables.count("blocked_clamped"),
        collided=tables.count("blocked_collided"),
        in_flight_at_stop=still_open,
    )


def _detail_tables(
    reply: Reply, sizes: Mapping[str, int], details: tuple[str, ...]
) -> DetailTables | None:
    names: list[str] = reply.message["details"]
    fds = reply.fds[len(reply.fds) - len(names) :]
    return DetailTables(dict(zip(names, fds, strict=True)), sizes, details) if names else None


def _arming(message: dict[str, Any], plan: Plan, scope: Scope) -> Arming:
    unavailable = dict(message["unavailable"])
    refused: dict[str, str] = message["refused"]
    hooks: dict[str, tuple[str, ...]] = {}
    for section in plan.sections:
        needed = [
            p.hook
            for p in specs.programs_for((section,), plan.constants())
            if section in p.sections and not p.iterates and not p.details
        ]
        missing = [f"{hook}: {refused[hook]}" for hook in needed if hook in refused]
        if missing:
            unavailable.setdefault(section, "cannot attach to " + ", ".join(missing))
        elif section not in unavailable:
            hooks[section] = tuple(f"tp_btf/{hook}" for hook in needed)
    details = _armed_details(plan, hooks, refused, unavailable)
    return Arming(
        start_ns=message["start_ns"],
        hooks=MappingProxyType(hooks),
        unavailable=MappingProxyType(unavailable),
        transport=plan.transport,
        timing=plan.timing,
        scope=_described(scope, message["root"]),
        versions=MappingProxyType({"bcc": message["bcc"]}),
        map_bytes=message["map_bytes"],
        details=MappingProxyType(details),
    )


def _armed_details(
    plan: Plan,
    hooks: Mapping[str, tuple[str, ...]],
    refused: Mapping[str, str],
    unavailable: dict[str, str],
) -> dict[str, tuple[str, ...]]:
    """Hooks of the details whose sections are armed; adds to ``unavailable`` what was refused."""
    armed = {}
    for detail in plan.details:
        needed = [p.hook for p in specs.PROGRAMS if detail in p.details]
        missing = [f"{hook}: {refused[hook]}" for hook in needed if hook in refused]
        if missing:
            unavailable[detail] = "cannot attach to " + ", ".join(missing)
        elif DETAILS[detail] in hooks and detail not in unavailable:
            armed[detail] = tuple(f"tp_btf/{hook}" for hook in needed)
    return armed
