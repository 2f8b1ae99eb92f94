"""What the agent and its supervisor say to each other. Standard library only.

The verbs are a closed set and carry names and numbers only: never C text, never a path. The
agent is unprivileged, so the supervisor takes nothing from it that is not checked here.
"""

import ipaddress
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from agent.model import SCOPES, TIMINGS, TRANSPORT_CHOICES, TRANSPORTS
from agent.sections.probes import PROBES
from agent.streams.shared import channel
from agent.streams.shared.channel import Malformed
from agent.streams.shared.layout import Geometry
from agent.streams.shared.plan import Plan

TABLES = (
    "batches",
    "counters",
    "slots",
    *(table.name for probe in PROBES for table in probe.tables),
)
"""The maps that the agent gets besides the transport's buffers. With a program or a link it could
attach."""

SUMMARIES = "summaries"
"""Names the file of struct task_summary that comes with the answer to ``disarm``."""

BUFFERS_AT_ONCE = 60
"""In one answer; a machine with more CPUs takes several."""

LARGEST_U32, LARGEST_U64 = (1 << 32) - 1, (1 << 64) - 1

Address = tuple[str, int]
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Request(Generic[AnswerT]):
    """A message of the agent, to be answered by an ``AnswerT``."""

    verb: ClassVar[str]
    answer: ClassVar[type[Any]]
    """``AnswerT`` again, where it can be decoded by."""


@dataclass(frozen=True)
class Buffer:
    """One buffer of a transport; its file descriptor bears the name ``fd_name``."""

    cpu: int
    serial: int
    """Never used twice, so it tells a buffer from an earlier one of the same CPU."""

    @property
    def fd_name(self) -> str:
        return f"buffer_{self.serial}"


@dataclass(frozen=True)
class BuffersAnswer:
    transport: str
    """``ring`` or ``perf``: ``auto`` is decided."""
    buffers: tuple[Buffer, ...]
    more: bool
    """There are further ones; ask again."""
    ring_bytes: int


@dataclass(frozen=True)
class BuffersRequest(Request[BuffersAnswer]):
    """Asks for the buffers of a transport that the agent does not have."""

    transport: str
    have: tuple[int, ...]
    """Serials."""
    watermark: int
    """Bytes after which a perf buffer's reader is woken."""

    verb = "buffers"
    answer = BuffersAnswer

    def __post_init__(self) -> None:
        _check(self.transport in TRANSPORT_CHOICES, f"no such transport: {self.transport}")
        _check(0 <= self.watermark <= LARGEST_U32, f"no such watermark: {self.watermark}")


@dataclass(frozen=True)
class PrepareAnswer:
    """Comes with the file descriptors of TABLES where they were asked for."""

    geometry: Geometry
    newer_refused: str
    """Why the programs do without what a newer kernel offers; empty where they do not."""


@dataclass(frozen=True)
class PrepareRequest(Request[PrepareAnswer]):
    """Has the programs of a plan compiled and loaded."""

    plan: Plan
    wants_tables: bool

    verb = "prepare"
    answer = PrepareAnswer

    def __post_init__(self) -> None:
        _check_plan(self.plan)


@dataclass(frozen=True)
class ScopeNumbers:
    """A run's scope as numbers and addresses; which of them count depends on the kind."""

    kind: str
    pid: int = 0
    cgroup_id: int = 0
    client: Address = ("", 0)
    server: Address = ("", 0)

    def __post_init__(self) -> None:
        _check(self.kind in SCOPES, f"no such scope: {self.kind}")
        _check(0 <= self.cgroup_id <= LARGEST_U64, f"no such cgroup: {self.cgroup_id}")
        if self.kind == "caller":
            for host, _ in (self.client, self.server):
                ipaddress.ip_address(host)


@dataclass(frozen=True)
class ArmAnswer:
    """Comes with the tables of the plan's details, and those of TABLES where asked for."""

    start_ns: int
    """CLOCK_MONOTONIC."""
    root: int
    """The process at the root of the scope's tree; 0 for a cgroup."""
    geometry: Geometry
    unavailable: dict[str, str]
    """Why, for each section or detail that could not be built."""
    refused: dict[str, str]
    """Why, for each hook that the kernel refused to attach to."""
    awaits_execs: bool
    """Failed execs are counted, asked for or not."""
    bcc: str
    map_bytes: int
    """Kernel memory of the maps that this run uses."""
    kernel_counts: dict[str, dict[str, int]]
    """The kernel's own counts by section, read just before attaching."""


@dataclass(frozen=True)
class ArmRequest(Request[ArmAnswer]):
    """Begins a run: resets the tables, attaches, and looks at every task."""

    plan: Plan
    scope: ScopeNumbers
    measure_probes: bool
    wants_tables: bool

    verb = "arm"
    answer = ArmAnswer

    def __post_init__(self) -> None:
        _check_plan(self.plan)


@dataclass(frozen=True)
class ProgramStats:
    """What the kernel counted of a program since the run began."""

    name: str
    hook: str
    runs: int | None
    run_ns: int | None
    """None of both unless the run measures its probes."""
    recursion_misses: int


@dataclass(frozen=True)
class DisarmAnswer:
    """Comes with the file SUMMARIES unless nothing was armed."""

    stop_ns: int
    """CLOCK_MONOTONIC."""
    programs: tuple[ProgramStats, ...] = ()
    kernel_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """The kernel's own counts by section, read just after detaching."""
    wait_functions: dict[str, tuple[int, ...]] | None = None
    """Numbers of the stacks taken, by the kernel function that waits; of a run that took some."""
    refused_records: int | None = None
    """Submits that found no room, by the kernel's own count, where it has one."""


@dataclass(frozen=True)
class DisarmRequest(Request[DisarmAnswer]):
    """Ends a run."""

    verb = "disarm"
    answer = DisarmAnswer


@dataclass(frozen=True)
class RescopeAnswer:
    pass


@dataclass(frozen=True)
class RescopeRequest(Request[RescopeAnswer]):
    """Has the members looked up again: tasks were moved between cgroups."""

    verb = "rescope"
    answer = RescopeAnswer


AnyRequest = BuffersRequest | PrepareRequest | ArmRequest | DisarmRequest | RescopeRequest
REQUESTS: dict[str, type[AnyRequest]] = {
    request.verb: request
    for request in (BuffersRequest, PrepareRequest, ArmRequest, DisarmRequest, RescopeRequest)
}
VERBS = tuple(REQUESTS)


def encode_request(request: Request[Any]) -> bytes:
    return channel.to_json({"verb": request.verb, "request": asdict(request)})


def decode_request(packet: bytes) -> AnyRequest:
    """Raises Malformed for an unknown verb, and for a field that is unknown, missing or odd."""
    message = channel.from_json(packet)
    if set(message) != {"verb", "request"}:
        raise Malformed(f"not a request: {sorted(message)}")
    verb = channel.taken(str, message["verb"])
    if verb not in REQUESTS:
        raise Malformed(f"no such verb: {verb}")
    return channel.taken(REQUESTS[verb], message["request"])


def _check_plan(plan: Plan) -> None:
    _check(plan.timing in TIMINGS, f"no such timing: {plan.timing}")
    _check(plan.transport in TRANSPORTS, f"no such transport: {plan.transport}")
    _check(plan == plan.possible(), f"no such plan: {plan}")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
