"""Messages between the agent and its supervisor. Standard library only.

The verbs are a closed set and carry names and numbers only: never C text, never a path. The
agent is unprivileged, so the supervisor accepts nothing from it that is not checked here.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from agent.model import SCOPES, TIMINGS, TRANSPORT_CHOICES, TRANSPORTS
from agent.sections.probes import PROBES
from agent.streams.shared import channel
from agent.streams.shared.channel import Malformed
from agent.streams.shared.layout import CGROUP_CHAIN, Geometry
from agent.streams.shared.plan import Plan
from agent.streams.shared.support import Support

TABLES = (
    "batches",
    "counters",
    "slots",
    "folded_bins",
    "folded_sums",
    *(table.name for probe in PROBES for table in probe.tables),
)
"""The maps that the agent gets in addition to the transport's buffers. It gets no program and no
link, since it could attach with one."""

SUMMARIES = "summaries"
"""Name of the fd for the file of struct task_summary sent with the answer to ``disarm``."""

CERTIFICATE, KEY = "certificate", "key"
"""Names of the fds for the files of ``--tls-cert`` and ``--tls-key``."""

SENT_AND_CLOSED = (SUMMARIES, CERTIFICATE, KEY)
"""Names of the fds that the supervisor does not keep."""

BUFFERS_AT_ONCE = 60
"""Limit per answer; a machine with more CPUs needs several answers."""

LARGEST_U32, LARGEST_U64 = (1 << 32) - 1, (1 << 64) - 1

_RUN_ID = re.compile(r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?", re.ASCII)

Address = tuple[str, int]
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Request(Generic[AnswerT]):
    """A message from the agent, answered with an ``AnswerT``."""

    verb: ClassVar[str]
    answer: ClassVar[type[Any]]
    """``AnswerT`` again, available at run time for decoding."""


@dataclass(frozen=True)
class Buffer:
    """One buffer of a transport; its file descriptor is sent under the name ``fd_name``."""

    cpu: int
    serial: int
    """Never reused, so it distinguishes a buffer from an earlier one of the same CPU."""
    rare: bool = False
    """Whether it is the perf buffer of the streams that cannot be folded in the kernel."""

    @property
    def fd_name(self) -> str:
        return f"buffer_{self.serial}"


@dataclass(frozen=True)
class SupportAnswer:
    features: tuple[Support, ...]


@dataclass(frozen=True)
class SupportRequest(Request[SupportAnswer]):
    """Find out what this machine and its kernel offer. Changes nothing."""

    verb = "support"
    answer = SupportAnswer


@dataclass(frozen=True)
class BuffersAnswer:
    transport: str
    """``ring`` or ``perf``; never ``auto``, which has been resolved."""
    buffers: tuple[Buffer, ...]
    more: bool
    """Whether there are more buffers to ask for."""
    ring_bytes: int


@dataclass(frozen=True)
class BuffersRequest(Request[BuffersAnswer]):
    """Request the buffers of a transport that the agent does not have."""

    transport: str
    have: tuple[int, ...]
    """Serials of the buffers that the agent has."""
    watermark: int
    """Bytes after which a perf buffer's reader is woken."""
    rare_watermark: int
    """The same for the buffers of the streams that cannot be folded in the kernel."""

    verb = "buffers"
    answer = BuffersAnswer

    def __post_init__(self) -> None:
        _check(self.transport in TRANSPORT_CHOICES, f"unknown transport: {self.transport}")
        for watermark in (self.watermark, self.rare_watermark):
            _check(0 <= watermark <= LARGEST_U32, f"invalid watermark: {watermark}")


@dataclass(frozen=True)
class PrepareAnswer:
    """Sent with the file descriptors of TABLES if they were requested."""

    geometry: Geometry
    newer_refused: str
    """Why no newer kernel features are used although this kernel has some; otherwise empty."""


@dataclass(frozen=True)
class PrepareRequest(Request[PrepareAnswer]):
    """Have the programs of a plan compiled and loaded."""

    plan: Plan
    wants_tables: bool

    verb = "prepare"
    answer = PrepareAnswer

    def __post_init__(self) -> None:
        _check_plan(self.plan)


@dataclass(frozen=True)
class ScopeNumbers:
    """A run's scope as numbers and addresses; the kind determines which of them are used."""

    kind: str
    pid: int = 0
    cgroups: tuple[int, ...] = ()
    """Ids of the cgroups from the root down to the one that is the scope."""
    client: Address = ("", 0)
    server: Address = ("", 0)
    owner: int | None = None
    """The uid that the root of the tree must have; None if that does not matter."""

    def __post_init__(self) -> None:
        _check(self.kind in SCOPES, f"unknown scope: {self.kind}")
        _check(bool(self.cgroups) == (self.kind == "cgroup"), "cgroups: for that scope only")
        _check(len(self.cgroups) <= CGROUP_CHAIN, f"too many cgroups: {len(self.cgroups)}")
        for number in self.cgroups:
            _check(0 < number <= LARGEST_U64, f"invalid cgroup id: {number}")
        if self.kind == "caller" and not self.pid:
            for host, _ in (self.client, self.server):
                ipaddress.ip_address(host)


@dataclass(frozen=True)
class ScopeProcess:
    """The process at the root of a scope's tree."""

    pid: int
    """In the agent's own pid namespace."""
    host_pid: int
    """In the initial one."""
    command: str
    age_ns: int
    """Since it was created, with the time that the machine was suspended."""


@dataclass(frozen=True)
class ArmAnswer:
    """Sent with the tables of the plan's details, and with TABLES if they were requested."""

    start_ns: int
    """By the clock of bpf_ktime_get_ns()."""
    clock_offset_ns: int
    """That clock - CLOCK_MONOTONIC as we read it: 0 except in a time namespace."""
    pid_level: int
    """How deep the agent's pid namespace is nested; 0: it is the initial one."""
    root: ScopeProcess | None
    """The process at the root of the scope's tree; None if the scope has none."""
    geometry: Geometry
    unavailable: dict[str, str]
    """The sections and details that could not be built, and why."""
    refused: dict[str, str]
    """The hooks that the kernel refused to attach to, and why."""
    awaits_execs: bool
    """Whether failed execs are counted even if not requested."""
    bcc: str
    map_bytes: int
    """Kernel memory of the maps that this run uses."""
    kernel_counts: dict[str, dict[str, int]]
    """The kernel's own counts by section, read just before it began to count."""
    differing: dict[str, dict[str, int]]
    """Those that differed just after that (`kernel_counts.differences`), for sections that begin to
    count at once. All of them would not fit into a message twice."""
    features: tuple[Support, ...] | None
    """What the machine and its kernel offer; None if that is what was last told."""


@dataclass(frozen=True)
class ArmRequest(Request[ArmAnswer]):
    """Begin a run: reset the tables, attach, and look at every task."""

    plan: Plan
    scope: ScopeNumbers
    measure_probes: bool
    wants_tables: bool
    run_id: str = ""
    """A UUID, to name the run whose evidence is lost if its recorder dies; may be empty."""

    verb = "arm"
    answer = ArmAnswer

    def __post_init__(self) -> None:
        _check_plan(self.plan)
        _check(_RUN_ID.fullmatch(self.run_id) is not None, f"invalid run id: {self.run_id!r}")


@dataclass(frozen=True)
class ProgramStats:
    """The kernel's statistics of a program since the run began."""

    name: str
    hook: str
    runs: int | None
    run_ns: int | None
    """This and ``runs`` are None unless the run measures its probes."""
    recursion_misses: int


@dataclass(frozen=True)
class DisarmAnswer:
    """Sent with the file SUMMARIES unless nothing was armed."""

    stop_ns: int
    """By the clock of bpf_ktime_get_ns()."""
    programs: tuple[ProgramStats, ...] = ()
    kernel_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """The kernel's own counts by section, read just after it ceased to count."""
    differing: dict[str, dict[str, int]] = field(default_factory=dict)
    """Those that differed just before that, for sections that cease to count at once."""
    wait_functions: dict[str, tuple[int, ...]] | None = None
    """Numbers of the stacks taken, by the kernel function that waits; None if not requested."""
    refused_records: int | None = None
    """Submits that found no room, by the kernel's own count; None if it has no such count."""
    cgroups: tuple[int, ...] = ()
    """The ids that the scope's cgroup had in the run, the oldest first; empty for other scopes."""
    wall_contradicted: int | None = None
    """Tasks that did something else than the wall time has them do; None if it is not measured."""
    wall_arrivals: int = 0
    """Others, which are on a CPU while it counts them as waiting: their arrival went unseen."""
    reports: bool = False
    """Whether each summary in the file is followed by what the thread was blocked in."""


@dataclass(frozen=True)
class DisarmRequest(Request[DisarmAnswer]):
    """End a run."""

    verb = "disarm"
    answer = DisarmAnswer


@dataclass(frozen=True)
class RescopeAnswer:
    pass


@dataclass(frozen=True)
class RescopeRequest(Request[RescopeAnswer]):
    """Determine the members again, after tasks were moved between cgroups."""

    verb = "rescope"
    answer = RescopeAnswer


@dataclass(frozen=True)
class CertificateAnswer:
    """Sent with the files CERTIFICATE and KEY, opened to be read, if they could be."""

    unreadable: str
    """Why not, with the file; otherwise empty."""


@dataclass(frozen=True)
class CertificateRequest(Request[CertificateAnswer]):
    """Open the files of the certificate again, which were named as the agent was started."""

    verb = "certificate"
    answer = CertificateAnswer


AnyRequest = (
    SupportRequest
    | BuffersRequest
    | PrepareRequest
    | ArmRequest
    | DisarmRequest
    | RescopeRequest
    | CertificateRequest
)
REQUESTS: dict[str, type[AnyRequest]] = {
    request.verb: request
    for request in (
        *(SupportRequest, BuffersRequest, PrepareRequest),
        *(ArmRequest, DisarmRequest, RescopeRequest, CertificateRequest),
    )
}
VERBS = tuple(REQUESTS)


def encode_request(request: Request[Any]) -> bytes:
    return channel.to_json({"verb": request.verb, "request": request})


def decode_request(packet: bytes) -> AnyRequest:
    """Decode a request. Raises Malformed if a verb or field is unknown, missing or invalid."""
    message = channel.from_json(packet)
    if set(message) != {"verb", "request"}:
        raise Malformed(f"not a request: {sorted(message)}")
    verb = channel.taken(str, message["verb"])
    if verb not in REQUESTS:
        raise Malformed(f"unknown verb: {verb}")
    return channel.taken(REQUESTS[verb], message["request"])


def _check_plan(plan: Plan) -> None:
    _check(plan.timing in TIMINGS, f"unknown timing: {plan.timing}")
    _check(plan.transport in TRANSPORTS, f"unknown transport: {plan.transport}")
    _check(bool(plan.sections) and plan == plan.possible(), f"invalid plan: {plan}")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
