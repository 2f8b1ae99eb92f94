"""The registry of sections for the kernel side, in the order of the evidence.

Standard library only, Python 3.9: the supervisor and the compiling process import it too.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.sections.biolatency.probe import PROBE as BIOLATENCY
from agent.sections.exec.probe import PROBE as EXEC
from agent.sections.offcpu.probe import PROBE as OFFCPU
from agent.sections.runqlat.probe import PROBE as RUNQLAT
from agent.sections.softirq.probe import PROBE as SOFTIRQ
from agent.sections.spec import Detail, Probe
from agent.sections.syscall_counts.probe import PROBE as SYSCALL_COUNTS

PROBES = (RUNQLAT, BIOLATENCY, OFFCPU, EXEC, SYSCALL_COUNTS, SOFTIRQ)

SECTIONS = tuple(probe.name for probe in PROBES)
"""Every section that a run may include."""
DEFAULT_SECTIONS = tuple(probe.name for probe in PROBES if not probe.on_request)
"""The sections of a run that names none: the contract's five."""

ALL_DETAILS = {detail.name: probe.name for probe in PROBES for detail in probe.details}
"""Each detail, with the section that it belongs to."""
DETAILS = {
    detail.name: probe.name for probe in PROBES for detail in probe.details if not detail.by_default
}
"""What a run measures on request only."""
_SCOPED = tuple(d for probe in PROBES for d in probe.details if d.scoped_only)
SCOPED_DETAILS = tuple(detail.name for detail in _SCOPED if not detail.by_default)
"""Of these, those that whole-machine runs cannot have."""
ALL_SCOPED_DETAILS = tuple(detail.name for detail in _SCOPED)
"""All that whole-machine runs cannot have."""


def probes_of(sections: Iterable[str]) -> tuple[Probe, ...]:
    """Return the probes of these sections, in the registry's order."""
    chosen = set(sections)
    return tuple(probe for probe in PROBES if probe.name in chosen)


def needed_details(sections: Iterable[str]) -> tuple[str, ...]:
    """Return the details of these sections without which this machine would not be covered."""
    return tuple(d.name for p in probes_of(sections) for d in p.details if d.is_needed())


def details_of(names: Iterable[str]) -> tuple[Detail, ...]:
    """Return the details with these names, in the registry's order."""
    chosen = set(names)
    return tuple(d for probe in PROBES for d in probe.details if d.name in chosen)
