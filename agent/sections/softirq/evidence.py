"""Softirqs: time by vector, and how much of it ran on top of the run's own tasks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.latency import latency
from agent.evidence.accounts import RELATIVE_BOUND, Accounts
from agent.evidence.checks import SLACK, Check
from agent.evidence.tasks import TaskTable
from agent.sections.fold import SectionFold, Taker, milliseconds
from agent.sections.softirq.layout import (
    SOFTIRQ_STATE_SIZE,
    SOFTIRQ_VECTOR_BITS,
    SOFTIRQ_VECTORS,
    vector_name,
)
from agent.streams.collect.observed import Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.shared.kernel_counts import Edge, growth
from agent.streams.shared.layout import LATENCY_BITS, LATENCY_MAX
from agent.words import Json

STATE_DTYPE = np.dtype(
    {
        "names": ["since", "vector", "exit_seen", "missed"],
        "formats": ["u8", "u4", "u4", "u4"],
        "offsets": [0, 8, 12, 16],
        "itemsize": SOFTIRQ_STATE_SIZE,
    }
)
"""struct softirq_state of softirq.c."""

IN_SCOPE = np.uint64(1 << (LATENCY_BITS + SOFTIRQ_VECTOR_BITS))


@dataclass(slots=True)
class Vector:
    """Softirqs of one vector. A histogram is 224 KiB, so only vectors that ran have one."""

    histogram: LatencyHistogram = field(default_factory=LatencyHistogram)
    in_scope_count: int = 0
    in_scope_ns: int = 0


class SoftirqFold(SectionFold):
    """Fold of 1-word events: latency, vector, whether on top of a task in scope (softirq.c)."""

    has_histogram = True

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        self.vectors: dict[str, Vector] = {}

    def take(self, words: Words) -> None:
        events = words.ravel()
        numbers = (events >> np.uint64(LATENCY_BITS)) & np.uint64(SOFTIRQ_VECTORS - 1)
        for number in np.flatnonzero(np.bincount(numbers.view(np.int64))).tolist():
            self._take_vector(vector_name(number), events[numbers == number])

    takes: ClassVar[Mapping[str, Taker]] = {"softirq": take}

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        kernel = growth(stopped.edges, "softirq")
        by_time = sorted(self.vectors.items(), key=lambda item: -item[1].histogram.sum_ns)
        rows = [_row(name, vector, kernel.get(name)) for name, vector in by_time]
        unseen = [max(0, count - self._count(name)) for name, count in kernel.items()]
        return {
            "count": sum(row["count"] for row in rows),
            "total_ms": milliseconds(sum(v.histogram.sum_ns for v in self.vectors.values())),
            "in_scope_count": sum(row["in_scope_count"] for row in rows),
            "in_scope_ms": milliseconds(sum(v.in_scope_ns for v in self.vectors.values())),
            "lost": stopped.observed.streams["softirq"].lost,
            "unseen": sum(unseen) if kernel else None,
            "by_vector": rows,
        }

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterator[Check]:
        """Compare softirqs by vector with /proc/softirqs."""
        outer = growth(edges, "softirq", outer=True)
        for name, kernel in growth(edges, "softirq").items():
            ours = self._count(name)
            if kernel or ours:
                excess = max(0, outer.get(name, kernel) - kernel)
                yield Check(
                    f"softirq_{name}",
                    "softirqs",
                    ours=ours,
                    kernel=kernel,
                    bound=RELATIVE_BOUND,
                    slack=SLACK,
                    excess=excess,
                    consequence="Take the counts and times of this vector as uncertain by that"
                    " share",
                )

    def streams(self, stopped: Stopped) -> Mapping[str, StreamCounts]:
        states = np.frombuffer(stopped.observed.tables["softirqs"], STATE_DTYPE)
        still_open = int(np.count_nonzero(states["since"]))
        counts = stopped.observed.streams["softirq"]
        return {"softirq": replace(counts, in_flight_at_stop=still_open)}

    @property
    def overflow(self) -> int:
        return sum(vector.histogram.overflow for vector in self.vectors.values())

    def _take_vector(self, name: str, events: Words) -> None:
        vector = self.vectors.setdefault(name, Vector())
        vector.histogram.fold(events, LATENCY_MAX)
        in_scope = events[(events & IN_SCOPE) != 0]
        vector.in_scope_count += len(in_scope)
        vector.in_scope_ns += int((in_scope & np.uint64(LATENCY_MAX)).sum())

    def _count(self, name: str) -> int:
        return self.vectors[name].histogram.total_count if name in self.vectors else 0


def _row(name: str, vector: Vector, kernel: int | None) -> Json:
    """Return one vector's row; ``unseen``: counted by the kernel but not by us, None if unknown."""
    distribution = latency(vector.histogram)
    return {
        "vector": name,
        "total_ms": milliseconds(vector.histogram.sum_ns),
        "in_scope_count": vector.in_scope_count,
        "in_scope_ms": milliseconds(vector.in_scope_ns),
        "unseen": None if kernel is None else max(0, kernel - distribution["count"]),
        **distribution,
    }
