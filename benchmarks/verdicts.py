"""``python -m benchmarks verdicts``: how often a run is not ``complete`` though nothing is wrong.

Short runs of one agent, one after another, beside ordinary loads (verdict_loads.py), with a scope
and without. Each run that is not ``complete`` is an alarm. It is false unless the kernel's own
counts, read here independently of the agent, show that something is missing or wrong.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.client.spawn import RunningAgent
from agent.nouns import counted
from agent.overhead.protocols import CannotMeasure, Missing, WorkloadFailed
from benchmarks.verdict_loads import LOADS, Load

RUN_SECONDS = 1.2
SETTLE_SECONDS = 1.0
"""Time for a load to get going."""
SCOPES = ("scope", "system")
FULL_RUNS, QUICK_RUNS = 800, 40

COUNTED = frozenset(
    {"lost", "collided", "unmatched", "unseen", "recursion", "unaccounted", "folded"}
)
"""Reasons that are counts of events that are missing, by the kernel's account or the programs'."""
HAPPENED = frozenset({"suspended", "cpus_changed", "overflow", "section_unavailable"})
"""Reasons that name something that happened to the machine or the run."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A run that is not ``complete``: its reasons, the checks that failed, and a judgement."""

    load: str
    scope: str
    reasons: tuple[str, ...]
    checks: tuple[Mapping[str, Any], ...]
    proof: str
    """What shows that something is missing or wrong; empty: the alarm is false."""

    @property
    def causes(self) -> list[str]:
        """Return what the alarm is about, for the table: names of checks, codes of reasons."""
        codes = [reason.partition(":")[0] for reason in self.reasons]
        named = [str(check["name"]) for check in self.checks]
        return named + [code for code in codes if code != "check_failed"]


@dataclass(frozen=True, slots=True)
class Row:
    """The runs beside one load with one scope."""

    load: str
    label: str
    scope: str
    runs: int
    alarms: tuple[Alarm, ...] = ()

    @property
    def false(self) -> list[Alarm]:
        return [alarm for alarm in self.alarms if not alarm.proof]

    @property
    def causes(self) -> Counter[str]:
        return Counter(cause for alarm in self.alarms for cause in alarm.causes)


@dataclass(frozen=True, slots=True)
class Rates:
    """All rows of a session, and the loads that could not run."""

    rows: tuple[Row, ...] = ()
    missing: Mapping[str, Missing] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rates":
        rows = [
            Row(**{**row, "alarms": tuple(Alarm(**_tuples(alarm)) for alarm in row["alarms"])})
            for row in data["rows"]
        ]
        missing = {name: Missing(**why) for name, why in data["missing"].items()}
        return cls(tuple(rows), missing, data["seconds"])


def _tuples(alarm: Mapping[str, Any]) -> dict[str, Any]:
    return {**alarm, "reasons": tuple(alarm["reasons"]), "checks": tuple(alarm["checks"])}


# --- judging one run


@dataclass(frozen=True, slots=True)
class Counts:
    """The kernel's counts since boot, by the name of the check that compares them."""

    counts: Mapping[str, int]

    @classmethod
    def read(cls) -> "Counts":
        found = {}
        for line in Path("/proc/stat").read_text().splitlines():
            name, *values = line.split()
            if name in ("ctxt", "processes"):
                found[{"ctxt": "context_switches", "processes": "forks"}[name]] = int(values[0])
        return cls(found)

    def since(self, before: "Counts") -> dict[str, int]:
        return {name: count - before.counts[name] for name, count in self.counts.items()}


@dataclass(frozen=True, slots=True)
class Bracket:
    """What the kernel counted from before a run until after it, and while it was in progress."""

    around: Mapping[str, int]
    within: Mapping[str, int]


def proof_of(evidence: Mapping[str, Any], bracket: Bracket) -> str:
    """Return what shows that something of this run is missing or wrong, or an empty string."""
    proofs = [
        reason
        for reason in evidence["completeness"]["reasons"]
        if reason.partition(":")[0] in COUNTED | HAPPENED
    ]
    return "; ".join(proofs + [p for check in failed(evidence) if (p := _proof(check, bracket))])


def _proof(check: Mapping[str, Any], bracket: Bracket) -> str:
    """Return what proves a failed check right; for times there is no second account to ask."""
    name, ours = str(check["name"]), check["ours"]
    if name not in bracket.around:
        return ""
    if ours < bracket.within[name]:
        return f"{name}: {ours} of at least {bracket.within[name]}"
    if ours > bracket.around[name]:
        return f"{name}: {ours} of at most {bracket.around[name]}"
    return ""


def failed(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [check for check in evidence["checks"] if not check["pass"]]


# --- measuring


def one_run(agent: RunningAgent, load: Load, scope: str, root: int) -> Alarm | None:
    """Return the alarm that a run raised, or None. Raises `AgentRefused`, `AgentUnreachable`."""
    outer = Counts.read()
    agent.post("/start", {"scope": {"pid": root}} if scope == "scope" else {})
    inner = Counts.read()
    time.sleep(RUN_SECONDS)
    within = Counts.read().since(inner)
    evidence = agent.post("/stop")
    if evidence["completeness"]["verdict"] == "complete":
        return None
    return Alarm(
        load.name,
        scope,
        tuple(evidence["completeness"]["reasons"]),
        tuple(failed(evidence)),
        proof_of(evidence, Bracket(Counts.read().since(outer), within)),
    )


def beside(
    agent: RunningAgent, load: Load, runs: int, tell: Callable[[str], None]
) -> Iterable[Row]:
    """Yield a row for each scope. Raises like `one_run`, and `WorkloadFailed`, `CannotMeasure`."""
    with load.running() as root:
        time.sleep(SETTLE_SECONDS)
        for scope in SCOPES:
            alarms = []
            for _ in range(runs):
                alarm = one_run(agent, load, scope, root)
                if alarm:
                    alarms.append(alarm)
                    tell(described(alarm))
            tell(f"{load.name}, {scope}: {counted(runs, 'run')}, {counted(len(alarms), 'alarm')}")
            yield Row(load.name, load.label, scope, runs, tuple(alarms))


def described(alarm: Alarm) -> str:
    """Return an alarm in full, so that it can be judged."""
    judged = f"right: {alarm.proof}" if alarm.proof else "false: nothing shows anything missing"
    lines = [f"ALARM {alarm.load}, {alarm.scope}; {judged}", *alarm.reasons]
    return "\n    ".join([*lines, *(f"{check}" for check in alarm.checks)])


def measure_rates(
    agent: RunningAgent, runs: int, only: Sequence[str], tell: Callable[[str], None]
) -> Rates:
    """Make about ``runs`` runs in all, the same number for each load and scope.

    Runs beside a load that ended on its own do not count: when it ended is not known.
    """
    began = time.monotonic()
    chosen = [load for load in LOADS if not only or load.name in only]
    missing = {load.name: why for load in chosen if (why := load.check())}
    able = [load for load in chosen if load.name not in missing]
    each = -(-runs // max(1, len(able) * len(SCOPES)))
    rows: list[Row] = []
    for load in able:
        try:
            rows += list(beside(agent, load, each, tell))
        except (WorkloadFailed, AgentRefused, AgentUnreachable) as error:
            missing[load.name] = Missing(str(error))
        except CannotMeasure as error:
            missing[load.name] = error.missing
    return Rates(tuple(rows), missing, time.monotonic() - began)
