"""The registry of sections for evidence and metrics, in the order of the evidence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.aggregate.families import Family
from agent.aggregate.totals import Total
from agent.sections.biolatency import metrics as biolatency
from agent.sections.biolatency.evidence import BiolatencyFold
from agent.sections.exec import metrics as exec_
from agent.sections.exec.evidence import ExecFold
from agent.sections.fold import SectionFold
from agent.sections.last_run import LastRunFigures, nothing
from agent.sections.offcpu import metrics as offcpu
from agent.sections.offcpu.evidence import OffcpuFold
from agent.sections.runqlat import metrics as runqlat
from agent.sections.runqlat.evidence import RunqlatFold
from agent.sections.softirq import metrics as softirq
from agent.sections.softirq.evidence import SoftirqFold
from agent.sections.syscall_counts import metrics as syscall_counts
from agent.sections.syscall_counts.evidence import SyscallCountsFold
from agent.streams.collect.observed import Observed


@dataclass(frozen=True, slots=True)
class Section:
    """One section, as far as evidence and metrics are concerned."""

    fold: type[SectionFold]
    families: tuple[Family, ...]
    totals: Callable[[Any, Observed], Mapping[str, Total]]
    """Return the value of each family that grows from run to run, given the section's fold."""
    last_run: Callable[[Any], LastRunFigures] = nothing
    """Return that of each family that is about the last run alone, given the fold at its end."""


REGISTRY: Mapping[str, Section] = {
    "runqlat": Section(RunqlatFold, runqlat.FAMILIES, runqlat.totals, runqlat.last_run),
    "biolatency": Section(
        BiolatencyFold, biolatency.FAMILIES, biolatency.totals, biolatency.last_run
    ),
    "offcpu": Section(OffcpuFold, offcpu.FAMILIES, offcpu.totals),
    "exec": Section(ExecFold, exec_.FAMILIES, exec_.totals),
    "syscall_counts": Section(SyscallCountsFold, syscall_counts.FAMILIES, syscall_counts.totals),
    "softirq": Section(SoftirqFold, softirq.FAMILIES, softirq.totals),
}

FAMILIES = tuple(family for section in REGISTRY.values() for family in section.families)
