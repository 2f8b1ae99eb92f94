"""The agent's own counters over all its runs, for ``chainbench_agent_*``."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from agent import __version__
from agent.evidence.cost import costs_of
from agent.evidence.verdict import Verdict
from agent.internal_metrics import InternalMetric
from agent.recording.collection import Collection
from agent.sections.registry import REGISTRY
from agent.streams.collect.observed import Observed
from agent.words import VERDICTS

FIELDS = ("received", "folded", "lost", "unmatched", "clamped", "collided")
HELP = {
    "received": "Events received and folded.",
    "folded": "Events received that the BPF programs had folded, for want of room in the buffer.",
    "lost": "Events that the BPF programs had to drop.",
    "unmatched": "Ends of intervals whose beginning was not seen.",
    "clamped": "Negative time differences, taken as 0.",
    "collided": "Intervals given up because another task took their slot.",
}


class InternalTotals:
    """Sums over the finished runs and the one in progress; they never go down."""

    def __init__(self) -> None:
        self._base: Counter[tuple[str, str]] = Counter()
        self._live: Counter[tuple[str, str]] = Counter()
        self._runs: Counter[tuple[str, str]] = Counter()

    def advance(self, observed: Observed, collection: Collection) -> None:
        """Replace the counts of the run in progress."""
        self._live = _counts(observed, collection)

    def finish(self, observed: Observed, collection: Collection) -> None:
        """Add the final counts of a run that has ended."""
        self._base.update(_counts(observed, collection))
        self._live = Counter()

    def count_run(self, verdict: Verdict) -> None:
        """Count a run once, and once more for each reason code that it has."""
        self._runs[verdict.verdict, ""] += 1
        for code in {reason.code for reason in verdict.reasons}:
            self._runs[verdict.verdict, code] += 1

    def metrics(
        self,
        armed: Mapping[str, bool],
        available: bool | None,
        processes: Mapping[str, int],
        mock: bool,
    ) -> list[InternalMetric]:
        """Return all of the agent's own families. ``armed``: by section; ``processes``: by role.

        ``available``: whether eBPF is; None until that is known.
        """
        costs = costs_of(processes.values())
        return [
            _metric("build_info", "gauge", "Version of the agent.", {"version": __version__}, 1),
            InternalMetric(
                "chainbench_agent_ebpf_available",
                "Whether eBPF is available.",
                "gauge",
                () if available is None else (({}, float(available)),),
            ),
            _metric("mock", "gauge", "Whether all events are synthetic.", {}, float(mock)),
            InternalMetric(
                "chainbench_agent_probe_armed",
                "Whether a section's probes are attached.",
                "gauge",
                tuple(({"section": s}, float(on)) for s, on in armed.items()),
            ),
            *self._of_runs(),
            *self._of_events(),
            InternalMetric(
                "chainbench_agent_cpu_seconds_total",
                "CPU time of each of the agent's processes.",
                "counter",
                tuple(
                    ({"role": role}, used / 1000)
                    for role, pid in processes.items()
                    if role != "compiler" and (used := costs[pid].cpu_ms) is not None
                ),
            ),
        ]

    def _of_runs(self) -> Iterator[InternalMetric]:
        yield InternalMetric(
            "chainbench_agent_runs_total",
            "Runs stopped, by verdict.",
            "counter",
            tuple(({"verdict": v}, float(self._runs[v, ""])) for v in VERDICTS),
        )
        yield InternalMetric(
            "chainbench_agent_run_reasons_total",
            "Runs that were degraded or invalid, by verdict and reason.",
            "counter",
            tuple(
                ({"verdict": verdict, "reason": code}, float(count))
                for (verdict, code), count in sorted(self._runs.items())
                if code
            ),
        )

    def _of_events(self) -> Iterator[InternalMetric]:
        # update() rather than +, which drops entries that are 0
        shown = Counter(self._base)
        shown.update(self._live)
        streams = sorted({stream for kind, stream in shown if kind in FIELDS})
        for kind in FIELDS:
            yield InternalMetric(
                f"chainbench_agent_events_{kind}_total",
                HELP[kind],
                "counter",
                tuple(({"stream": s}, float(shown[kind, s])) for s in streams),
            )
        yield InternalMetric(
            "chainbench_agent_latency_overflow_total",
            "Latencies beyond the histogram's range.",
            "counter",
            tuple(
                ({"section": name}, float(shown["overflow", name]))
                for name, section in REGISTRY.items()
                if section.fold.has_histogram
            ),
        )
        yield _metric(
            "drain_seconds_total",
            "counter",
            "Time spent reading and folding events.",
            {},
            shown["drain_us", ""] / 1e6,
        )
        yield _metric(
            "drains_total", "counter", "Reads of the event buffer.", {}, shown["drains", ""]
        )


def _counts(observed: Observed, collection: Collection) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    streams = dict(observed.streams) | {"offcpu": observed.blocked_counts}
    for stream, own in streams.items():
        for kind in FIELDS:
            # keep zeros: the series of a stream exist from its first run on
            counts[kind, stream] = getattr(own, kind)
    for section, overflow in collection.overflow().items():
        counts["overflow", section] = overflow
    counts["drains", ""] = observed.drains
    counts["drain_us", ""] = round(observed.drain_seconds * 1e6)
    return counts


def _metric(
    name: str, kind: Literal["gauge", "counter"], text: str, labels: dict[str, str], value: float
) -> InternalMetric:
    """Return a family with one sample."""
    return InternalMetric(f"chainbench_agent_{name}", text, kind, ((labels, float(value)),))
