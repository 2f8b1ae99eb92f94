"""How a section of several machines becomes one: each function takes the objects of all.

For an object that is not as agents make it each raises one of `agent.fleet.merging.MALFORMED`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.latency import latency
from agent.terminal.evidence import FIVE_CALLS
from agent.words import Json

Sections = Sequence[Mapping[str, Any]]

MOST_ROWS = 10
"""Rows that each machine lists itself."""


def _latencies(sections: Sections) -> Json:
    """Add distributions of latencies at full resolution; sum and extremes stay exact."""
    whole = LatencyHistogram()
    for section in sections:
        one = LatencyHistogram.decode(str(section["hdr"]))
        sum_ns, lowest, highest = 0, 0, 0
        if one.total_count:
            sum_ns = round(section["mean_us"] * section["count"] * 1000)
            lowest, highest = round(section["min_us"] * 1000), round(section["max_us"] * 1000)
        whole.add(one.counts, sum_ns, lowest, highest, int(section["overflow"]))
    return latency(whole)


def _runqlat(sections: Sections) -> Json:
    preempted = sum(section["preempted_ms"] for section in sections)
    return {**_latencies(sections), "preempted_ms": preempted, "lost": _sum(sections, "lost")}


def _biolatency(sections: Sections) -> Json:
    with_queue = _latencies([section["with_queue"] for section in sections])
    lost = _sum(sections, "lost")
    return {**_latencies(sections), "with_queue": with_queue, "lost": lost}


def _offcpu(sections: Sections) -> Json:
    ms: defaultdict[str, float] = defaultdict(float)
    count: Counter[str] = Counter()
    for row in (row for section in sections for row in section["top_reasons"]):
        ms[row["reason"]] += row["ms"]
        count[row["reason"]] += row["count"]
    top = sorted(ms, key=lambda reason: -ms[reason])[:MOST_ROWS]
    total_ms, total = sum(section["total_ms"] for section in sections), _sum(sections, "count")
    return {
        "total_ms": round(total_ms, 6),
        "top_reasons": [
            {"reason": reason, "ms": round(ms[reason], 6), "count": count[reason]} for reason in top
        ],
        "other": {
            "ms": max(0.0, round(total_ms - sum(ms[reason] for reason in top), 6)),
            "count": total - sum(count[reason] for reason in top),
        },
        "count": total,
    }


def _exec(sections: Sections) -> Json:
    commands: Counter[str] = Counter()
    for row in (row for section in sections for row in section["top_commands"]):
        commands[row["command"]] += row["count"]
    execs = _sum(sections, "exec_count")
    top = commands.most_common(MOST_ROWS)
    return {
        "exec_count": execs,
        "top_commands": [{"command": name, "count": n} for name, n in top],
        "other": execs - sum(n for _, n in top),
        "forks": _sum(sections, "forks"),
        "exits": _sum(sections, "exits"),
        "lost": _sum(sections, "lost"),
    }


def _syscalls(sections: Sections) -> Json:
    everything: Counter[str] = Counter()
    for section in sections:
        everything.update({str(name): int(calls) for name, calls in section["all"].items()})
    return {
        **{name: _sum(sections, name) for name in FIVE_CALLS},
        "all": dict(everything.most_common()),
    }


def _softirq(sections: Sections) -> Json:
    total_ms = round(sum(section["total_ms"] for section in sections), 6)
    return {"count": _sum(sections, "count"), "total_ms": total_ms, "lost": _sum(sections, "lost")}


def _sum(sections: Sections, field: str) -> int:
    return sum(int(section[field]) for section in sections)


MERGED: Mapping[str, Callable[[Sections], Json]] = {
    "runqlat": _runqlat,
    "biolatency": _biolatency,
    "offcpu": _offcpu,
    "exec": _exec,
    "syscall_counts": _syscalls,
    "softirq": _softirq,
}
"""The sections that can be added; of others each machine's own stands."""
