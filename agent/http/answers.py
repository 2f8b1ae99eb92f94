"""The answers, declared for ``/openapi.json``. Tests hold what is answered to these declarations.

Answers are not validated when they are sent: an answer that differs from its declaration is better
than none. Those that only the HTTP side and the recorder make are declared in full. Of evidence,
the part that stays is declared; sections may have more fields, and there may be more sections.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.http.access import Mode
from agent.model import KeptState

Absent = UnsetType
"""A field that may be absent, and is then not null: ``name: str | Absent = UNSET``."""

LabelSetsHidden = Annotated[
    int, Meta(description="How many other label sets `/metrics` no longer shows, to make room.")
]


class Error(Struct, forbid_unknown_fields=True):
    """What was wrong and what to do."""

    error: Annotated[str, Meta(description="A stable code.")]
    message: Annotated[str, Meta(description="For people; not stable.")]
    field: Annotated[str, Meta(description="The field that was wrong.")] | Absent = UNSET
    run_id: Annotated[str, Meta(description="The run that is in progress.")] | Absent = UNSET
    started_at: (
        Annotated[str, Meta(description="When that run's start was requested.")] | Absent
    ) = UNSET


class Started(Struct, forbid_unknown_fields=True):
    """A run has begun. Every probe that can be armed is armed."""

    status: Literal["started"]
    run_id: str
    available: Annotated[bool, Meta(description="Whether anything is measured.")]
    mock: Annotated[bool, Meta(description="Whether all events are synthetic.")] | Absent = UNSET
    armed: list[str] | Absent = UNSET
    unavailable: (
        Annotated[dict[str, str], Meta(description="Why sections and details are not armed.")]
        | Absent
    ) = UNSET
    scope: Annotated[dict[str, Any], Meta(description="The tasks covered.")] | Absent = UNSET
    code: Annotated[str, Meta(description="Why nothing is measured.")] | Absent = UNSET
    reason: Annotated[str, Meta(description="The same in words.")] | Absent = UNSET
    label_sets_hidden: LabelSetsHidden | Absent = UNSET
    ignored: Annotated[list[str], Meta(description="Unknown fields.")] | Absent = UNSET


class Reported(Struct, forbid_unknown_fields=True):
    """The result is on ``/metrics``, unless ``shown`` is there and false."""

    status: Literal["metrics_reported"]
    label_sets_hidden: LabelSetsHidden | Absent = UNSET
    shown: Annotated[bool, Meta(description="False: there is no room for it.")] | Absent = UNSET
    reason: Annotated[str, Meta(description="Why it is not shown.")] | Absent = UNSET
    ignored: Annotated[list[str], Meta(description="Unknown fields.")] | Absent = UNSET


class Ebpf(Struct, forbid_unknown_fields=True):
    """Whether eBPF is available; null until it has been tried."""

    available: bool | None
    reason: str | None
    code: str | Absent = UNSET


class Feature(Struct, forbid_unknown_fields=True):
    """Something that a machine or its kernel may lack."""

    feature: str
    needed_for: Annotated[str, Meta(description="`everything`, or what is missing without it.")]
    since: Annotated[str | None, Meta(description="The kernel version that brought it.")]
    supported: Annotated[bool | None, Meta(description="Null: could not be determined.")]
    code: Annotated[str | None, Meta(description="Why not, if nothing can be measured then.")]
    reason: Annotated[str | None, Meta(description="Why not, and the cure; or why unknown.")]


class Process(Struct, forbid_unknown_fields=True):
    """One of the agent's processes."""

    role: str
    pid: int


class Store(Struct, forbid_unknown_fields=True):
    """Where runs are kept for longer than the process."""

    state: Literal["off", "keeping", "failing"]
    reason: Annotated[str | None, Meta(description="Why runs cannot be kept for now.")]
    waiting: Annotated[int, Meta(description="Runs that are still to be written.")]
    lost: Annotated[int, Meta(description="Runs that were not kept.")]


class AccessOverTcp(Struct, forbid_unknown_fields=True):
    """Who may use the agent over TCP."""

    mode: Annotated[
        Mode,
        Meta(
            description="Processes of this machine; whoever knows the token; everybody who can"
            " connect."
        ),
    ]
    tls: bool


class Status(Struct, forbid_unknown_fields=True):
    """What the agent is doing. Labels and ids are empty while no run is in progress."""

    running: bool
    state: Literal["idle", "arming", "running", "stopping"]
    scenario: str
    impl: str
    variant: str
    commit: str
    dataset: str
    machine: str
    boot_id: Annotated[str, Meta(description="Of the kernel; empty if it is not known.")]
    mock: Annotated[bool, Meta(description="Whether all events are synthetic.")]
    run_id: str
    ebpf: Ebpf
    store: Store
    support: Annotated[list[Feature], Meta(description="Empty until it has been tried.")]
    armed: Annotated[dict[str, bool], Meta(description="Whether a section's programs run now.")]
    transport: str
    processes: list[Process]
    compile_deadline_s: Annotated[
        float, Meta(description="How long the probes of a start may take to compile.")
    ]
    access: AccessOverTcp


class Health(Struct, forbid_unknown_fields=True):
    """The agent lives, or can take a run."""

    status: Literal["ok", "ready"]


class Deleted(Struct, forbid_unknown_fields=True):
    """A run is no longer kept."""

    status: Literal["deleted"]
    run_id: str


class Bucket(Struct):
    """Latencies from ``bucket_us`` up to twice that; those below 1 µs are under 0."""

    bucket_us: float
    count: int


class Latency(Struct):
    """A distribution of latencies. Percentiles of nothing are null."""

    histogram: list[Bucket]
    p95_us: float | None


class Reason(Struct):
    """Blocked time under one reason."""

    reason: str
    ms: float


class OffCpu(Struct):
    """Blocked time."""

    total_ms: float
    top_reasons: list[Reason]


class Command(Struct):
    """Execs of one program."""

    command: str
    count: int


class Exec(Struct):
    """Successful execs."""

    exec_count: int
    top_commands: list[Command]


class SyscallCounts(Struct):
    """Syscalls, counted on entry to the kernel."""

    futex: int
    fsync: int
    openat: int
    read: int
    write: int


class Completeness(Struct):
    """How far to trust the evidence."""

    verdict: Literal["complete", "degraded", "invalid"]
    reasons: list[Any]


class Evidence(Struct):
    """What the kernel did during a run. A section that was not measured is absent."""

    available: Annotated[bool, Meta(description="Whether anything was measured.")]
    schema: Annotated[int, Meta(description="Version of this format.")]
    run_id: str
    completeness: Completeness
    mock: Annotated[bool, Meta(description="Whether all events are synthetic.")] | Absent = UNSET
    code: Annotated[str, Meta(description="Why nothing was measured.")] | Absent = UNSET
    reason: Annotated[str, Meta(description="The same in words.")] | Absent = UNSET
    unavailable: dict[str, str] | Absent = UNSET
    procfs: (
        Annotated[dict[str, Any], Meta(description="Totals from /proc, if nothing was measured.")]
        | Absent
    ) = UNSET
    runqlat: Latency | Absent = UNSET
    biolatency: Latency | Absent = UNSET
    offcpu: OffCpu | Absent = UNSET
    exec: Exec | Absent = UNSET
    syscall_counts: SyscallCounts | Absent = UNSET


class Kept(Evidence, kw_only=True):
    """The evidence of a run that is kept, in whichever state it is."""

    state: Annotated[
        KeptState,
        Meta(
            description="Whole; what was last written of a run that is in progress, or whose agent"
            " was killed; or ended because its agent did."
        ),
    ]


class Listed(Struct, forbid_unknown_fields=True):
    """A run that is kept."""

    run_id: str
    state: KeptState
    verdict: Annotated[str, Meta(description="none: nothing was measured.")]
    started_at: str
    labels: dict[str, str]
    wall_ms: Annotated[float | None, Meta(description="As the evidence has it in `wall`.")]
    kernel: str
    cpus: int | None
    copied: Annotated[bool, Meta(description="Whether its client keeps it too.")]


class Runs(Struct, forbid_unknown_fields=True):
    """Runs that are kept, the newest first."""

    runs: list[Listed]
    next: Annotated[str | None, Meta(description="`before` of the next page; null: no more.")]
