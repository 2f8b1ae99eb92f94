"""The evidence of a run, as the contract shapes it. Pure: everything comes in, a dict goes out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import RunTotals
from agent.collection import Collection
from agent.model import COUNTED_SYSCALLS
from agent.streams.layout import REASON_KERNEL_THREAD, REASON_NAMES
from agent.streams.observed import Observed, StreamCounts
from agent.streams.syscall_names import syscall_names

TOP_REASONS = 10
TOP_COMMANDS = 10

Json = dict[str, Any]


def sections(collection: Collection, observed: Observed, armed: Sequence[str]) -> Json:
    """The sections that were armed, by name."""
    builders = {
        "runqlat": _runqlat,
        "biolatency": _biolatency,
        "offcpu": _offcpu,
        "exec": _exec,
        "syscall_counts": _syscall_counts,
    }
    return {name: builders[name](collection, observed) for name in armed}


def latency(histogram: LatencyHistogram) -> Json:
    """The fixed fields and those beside them; times in µs, None where nothing was measured."""
    return {
        "histogram": histogram.power_of_two_buckets(),
        **histogram.summary(),
        "overflow": histogram.overflow,
        "hdr": histogram.encode(),
    }


def _runqlat(collection: Collection, observed: Observed) -> Json:
    return latency(collection.runqlat) | {"lost": observed.streams["runqlat"].lost}


def _biolatency(collection: Collection, observed: Observed) -> Json:
    return latency(collection.biolatency) | {
        "lost": observed.streams["biolatency"].lost,
        "operations": dict(collection.block_operations),
        "with_queue": latency(collection.biolatency_with_queue),
    }


def _offcpu(collection: Collection, observed: Observed) -> Json:
    blocked = observed.blocked
    by_reason = blocked.ns.sum(axis=0)
    counts = blocked.count.sum(axis=0)
    user = [r for r in by_reason.argsort()[::-1].tolist() if r != REASON_KERNEL_THREAD]
    rows: list[Json] = [
        {
            "reason": reason_name(reason),
            "ms": _ms(by_reason[reason]),
            "count": int(counts[reason]),
            "interruptible_ms": _ms(blocked.ns[0, reason]),
            "uninterruptible_ms": _ms(blocked.ns[1, reason]),
        }
        for reason in user
        if counts[reason]
    ]
    total_ns = blocked.of_user_tasks_ns()
    kernel = REASON_KERNEL_THREAD
    return {
        "total_ms": _ms(total_ns),
        "top_reasons": rows[:TOP_REASONS],
        "other": {
            "ms": round(sum(row["ms"] for row in rows[TOP_REASONS:]), 6),
            "count": sum(row["count"] for row in rows[TOP_REASONS:]),
        },
        "count": int(counts.sum() - counts[kernel]),
        "interruptible_ms": _ms(blocked.ns[0].sum() - blocked.ns[0, kernel]),
        "uninterruptible_ms": _ms(blocked.ns[1].sum() - blocked.ns[1, kernel]),
        "kernel_threads": {"ms": _ms(by_reason[kernel]), "count": int(counts[kernel])},
    }


def _exec(collection: Collection, observed: Observed) -> Json:
    top = collection.commands.most_common(TOP_COMMANDS)
    return {
        "exec_count": collection.execs,
        "top_commands": [{"command": command, "count": count} for command, count in top],
        "other": collection.execs - sum(count for _, count in top),
        "forks": observed.counters["forks"],
        "exits": observed.counters["exits"],
        "lost": observed.streams["exec"].lost,
    }


def _syscall_counts(collection: Collection, observed: Observed) -> Json:
    by_count = sorted(observed.syscalls.items(), key=lambda item: (-item[1], item[0]))
    return {name: observed.syscalls.get(name, 0) for name in COUNTED_SYSCALLS} | {
        "all": dict(by_count)
    }


def completeness(
    streams: Mapping[str, StreamCounts], faults: Mapping[str, str], unavailable: Mapping[str, str]
) -> Json:
    """What is missing, and what that makes of the run."""
    reasons = [f"{code}: {message}" for code, message in faults.items()]
    degrading = [f"{section} unavailable: {why}" for section, why in unavailable.items()]
    for name, counts in streams.items():
        if counts.lost:
            degrading.append(f"{name}: {counts.lost} of {counts.produced} events lost")
        if counts.produced != counts.received + counts.lost:
            reasons.append(f"{name}: produced, received and lost events do not add up")
        if counts.collided:
            degrading.append(f"{name}: {counts.collided} intervals given up to slot collisions")
    verdict = "invalid" if reasons else "degraded" if degrading else "complete"
    return {
        "verdict": verdict,
        "reasons": reasons + degrading,
        "streams": {name: asdict(counts) for name, counts in streams.items()},
    }


def run_totals(collection: Collection, observed: Observed, armed: Sequence[str]) -> RunTotals:
    """The same run as ``/metrics`` counts it."""
    syscalls = observed.syscalls
    named = {name: syscalls.get(name, 0) for name in COUNTED_SYSCALLS}
    other = sum(syscalls.values()) - sum(named.values())
    return RunTotals(
        runqlat=collection.runqlat.totals() if "runqlat" in armed else None,
        biolatency=collection.biolatency.totals() if "biolatency" in armed else None,
        offcpu_ms=_ms(observed.blocked.of_user_tasks_ns()) if "offcpu" in armed else None,
        exec_count=collection.execs if "exec" in armed else None,
        syscalls={**named, "other": other} if "syscall_counts" in armed else None,
    )


def reason_name(reason: int) -> str:
    """The syscall's name, or page_fault and its like."""
    return REASON_NAMES.get(reason) or _NAMES.get(reason, f"syscall_{reason}")


_NAMES = syscall_names()


def _ms(nanoseconds: Any) -> float:
    return int(nanoseconds) / 1e6


NOTHING_MEASURED = RunTotals()
