"""Syscalls: calls by name."""

from collections.abc import Mapping, Sequence

from agent.sections.fold import SectionFold
from agent.sections.syscall_counts.layout import COUNTED
from agent.sections.syscall_counts.times import rows, times_of
from agent.streams.collect.observed import Observed, Stopped, StreamCounts
from agent.words import Json


class SyscallCountsFold(SectionFold):
    """Fold without events: the kernel side counts calls by number (struct cpu_counters)."""

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        observed = stopped.observed
        by_count = sorted(observed.syscalls.items(), key=lambda item: (-item[1], item[0]))
        return {name: observed.syscalls.get(name, 0) for name in COUNTED} | {"all": dict(by_count)}

    def further_evidence(self, observed: Observed) -> Json:
        times = times_of(observed)
        return {} if times is None else {"syscall_details": rows(times.syscalls, observed.syscalls)}

    def streams(self, stopped: Stopped) -> Mapping[str, StreamCounts]:
        times = times_of(stopped.observed)
        return {} if times is None else {"syscalls": times.counts}
