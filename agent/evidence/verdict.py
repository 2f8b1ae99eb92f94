"""The verdict on a run (complete, degraded or invalid) and the reasons for it. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.evidence.checks import Check, events_ceased
from agent.evidence.skipped import skipped
from agent.nouns import counted
from agent.streams.collect.observed import StreamCounts
from agent.streams.shared.kernel_counts import (
    Edge,
    are_known,
    switched_out_of_process_1,
    words_on_process_1,
)
from agent.words import COMPLETE, DEGRADED, INVALID, Json

MAX_UNMATCHED = 0.01
"""Fraction of ends without a beginning that a run may have. The kernel of the virtual machine on
which this was built runs no BPF program while process 1 is current, no matter who attached it, and
counts no miss; what goes unseen there shows in ``context_switches`` and ``unseen_switches``: about
one end for each time that process 1 ran."""
MAX_UNSEEN = 0.01
UNMATCHED_SLACK = 20
SUSPENDED_NS = 1_000_000
UNCHECKED = (
    "the kernel's own counts (/proc/stat) could not be read at the start or at the stop, so there "
    "are no checks of context switches and forks"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong; ``code`` is stable, and also used as a metric label."""

    code: str
    text: str
    verdict: str = DEGRADED


@dataclass(frozen=True, slots=True)
class Verdict:
    reasons: tuple[Reason, ...] = ()
    streams: Mapping[str, StreamCounts] = field(default_factory=dict)
    unseen_switches: int = 0

    @property
    def verdict(self) -> str:
        found = {reason.verdict for reason in self.reasons}
        return INVALID if INVALID in found else DEGRADED if found else COMPLETE

    def evidence(self) -> Json:
        return {
            "verdict": self.verdict,
            "reasons": [f"{r.code}: {r.text}" for r in self.reasons],
            "unseen_switches": self.unseen_switches,
            "streams": {name: counts.by_name() for name, counts in self.streams.items()},
        }


def unavailable(code: str, message: str) -> Verdict:
    """Return the verdict on a run in which nothing could be measured."""
    return Verdict((Reason(code, message, INVALID),))


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the verdict on a run is based on."""

    streams: Mapping[str, StreamCounts]
    edges: tuple[Edge, Edge]
    checks: Sequence[Check] = ()
    unseen_switches: int = 0
    """Arrivals on a CPU that the kernel counted and we did not see."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What went wrong during the run, by a stable code."""
    gaps: Sequence[str] = ()
    """What the run could not see of the tasks in its scope, in words."""
    missing_sections: Mapping[str, str] = field(default_factory=dict)
    """Why a requested section was not measured, by section."""
    programs: Sequence[Mapping[str, Any]] = ()
    overflow: Mapping[str, int] = field(default_factory=dict)
    """Latencies beyond the histogram's range, by section."""
    lost_by_folding: Mapping[str, str] = field(default_factory=dict)
    """What the evidence lacks of events folded in the kernel, by stream, in words; only streams
    that lose something."""


def judge(found: Findings) -> Verdict:
    """Return the verdict on a run that was measured."""
    reasons = [Reason(code, message, INVALID) for code, message in found.faults.items()]
    reasons += (Reason("scope_incomplete", text) for text in found.gaps)
    reasons += (
        Reason("section_unavailable", f"{section}: {why}")
        for section, why in found.missing_sections.items()
    )
    reasons += _stream_reasons(found.streams, found.edges)
    reasons += _folded_reasons(found)
    reasons += (Reason("recursion", text) for text in skipped(found.programs))
    reasons += _check_reasons(found.checks)
    reasons += _machine_reasons(found.edges)
    reasons += (
        Reason("overflow", f"{section}: {counted(count, 'latency')} beyond the histogram's range")
        for section, count in found.overflow.items()
        if count
    )
    if found.unseen_switches > MAX_UNSEEN * found.streams["runqlat"].produced + UNMATCHED_SLACK:
        text = f"{found.unseen_switches:,} arrivals on a CPU that the kernel counted were not seen"
        reasons.append(Reason("unseen", text + _of_process_1(found.unseen_switches, found.edges)))
    return Verdict(tuple(reasons), found.streams, found.unseen_switches)


def _of_process_1(missed: int, edges: tuple[Edge, Edge]) -> str:
    """Return the words for it if process 1 ran often enough to be why so much was not seen."""
    ran_too_seldom = switched_out_of_process_1(edges) < missed / 2
    return "" if ran_too_seldom else f". {words_on_process_1(edges)}"


def _stream_reasons(
    streams: Mapping[str, StreamCounts], edges: tuple[Edge, Edge]
) -> Iterator[Reason]:
    for name, counts in streams.items():
        if counts.produced != counts.received + counts.lost:
            text = f"{name}: {counts.produced:,} produced, {counts.received:,} received"
            yield Reason("unaccounted", f"{text}, {counts.lost:,} lost", INVALID)
        if counts.lost:
            yield Reason("lost", f"{name}: {counts.lost:,} of {counted(counts.produced, 'event')}")
        if counts.collided:
            intervals = counted(counts.collided, "interval")
            yield Reason("collided", f"{name}: {intervals} shared a slot")
        if counts.unmatched > MAX_UNMATCHED * counts.produced + UNMATCHED_SLACK:
            left_out = counted(counts.unmatched, "interval")
            text = f"{name}: {left_out} left out, since the beginning was not seen"
            yield Reason("unmatched", text + _of_process_1(counts.unmatched, edges))


def _folded_reasons(found: Findings) -> Iterator[Reason]:
    for name, lost in found.lost_by_folding.items():
        counts = found.streams.get(name, StreamCounts())
        if counts.folded:
            text = f"{name}: {counts.folded:,} of {counted(counts.produced, 'event')} folded in the"
            text += " kernel, since the agent did not read its buffer in time"
            yield Reason("folded", f"{text}: {lost}")


def _check_reasons(checks: Sequence[Check]) -> Iterator[Reason]:
    if events_ceased(checks):
        yield Reason("events_ceased", "most context switches of the run were not seen", INVALID)
    for check in checks:
        if not check.passed:
            yield Reason("check_failed", f"{check.name}: {check.text}")


def _machine_reasons(edges: tuple[Edge, Edge]) -> Iterator[Reason]:
    before, after = edges
    suspended_ns = after.suspended_ns - before.suspended_ns
    if suspended_ns > SUSPENDED_NS:
        yield Reason("suspended", f"the machine was suspended for {suspended_ns / 1e9:.1f} s")
    if not are_known(edges):
        yield Reason("unchecked", UNCHECKED)
    if before.online_cpus != after.online_cpus and before.online_cpus and after.online_cpus:
        yield Reason("cpus_changed", f"online CPUs: {before.online_cpus}, then {after.online_cpus}")
