"""The evidence of a run, as the contract shapes it. Pure: everything comes in, a dict goes out."""

from collections.abc import Sequence
from typing import Any

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import RunTotals
from agent.evidence.collection import Collection
from agent.evidence.tasks import Waited
from agent.model import COUNTED_SYSCALLS
from agent.streams.collect.observed import Observed, WaitFunctions
from agent.streams.shared.layout import REASON_KERNEL_THREAD, REASON_NAMES
from agent.streams.shared.syscall_names import syscall_names

EXEC_SYSCALLS = ("execve", "execveat")
TOP_REASONS = 10
TOP_COMMANDS = 10
TOP_FUNCTIONS = 20

Json = dict[str, Any]


def of_run(collection: Collection, observed: Observed, armed: Sequence[str]) -> Json:
    """The sections that were armed, by name; and details that stand beside them."""
    builders = {
        "runqlat": _runqlat,
        "biolatency": _biolatency,
        "offcpu": _offcpu,
        "exec": _exec,
        "syscall_counts": _syscall_counts,
    }
    built = {name: builders[name](collection, observed) for name in armed}
    if {"exec", "syscall_counts"} <= built.keys():
        built["exec"]["attempts"] = sum(observed.syscalls.get(name, 0) for name in EXEC_SYSCALLS)
    if observed.details.syscalls is not None:
        built["syscall_details"] = _syscall_details(observed)
    return built


def latency(histogram: LatencyHistogram) -> Json:
    """The fixed fields and those beside them; times in µs, None where nothing was measured."""
    return {
        "histogram": histogram.power_of_two_buckets(),
        **histogram.summary(),
        "overflow": histogram.overflow,
        "hdr": histogram.encode(),
    }


def _runqlat(collection: Collection, observed: Observed) -> Json:
    histogram = collection.runqlat
    total = Waited(histogram.sum_ns, histogram.total_count)
    return latency(histogram) | {
        "lost": observed.streams["runqlat"].lost,
        "by_command": collection.tasks.by_command(total),
        "by_thread": collection.tasks.by_thread(total),
        "preempted_ms": collection.tasks.preempted_ns() / 1e6,
    }


def _biolatency(collection: Collection, observed: Observed) -> Json:
    return latency(collection.biolatency) | {
        "lost": observed.streams["biolatency"].lost,
        "by_operation": collection.block.evidence(),
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
        "by_state": {
            "interruptible_ms": _ms(blocked.ns[0].sum() - blocked.ns[0, kernel]),
            "uninterruptible_ms": _ms(blocked.ns[1].sum() - blocked.ns[1, kernel]),
            "preempted_ms": collection.tasks.preempted_ns() / 1e6,
        },
        "kernel_threads": {"ms": _ms(by_reason[kernel]), "count": int(counts[kernel])},
    } | _wait_functions(observed.details.wait_functions)


def _wait_functions(waits: WaitFunctions | None) -> Json:
    """The longest of the sampled waits; with the rest and those not sampled they add up."""
    if waits is None:
        return {}
    by_time = sorted(waits.sampled.items(), key=lambda item: (-item[1].ns, item[0]))
    rest = [of for _, of in by_time[TOP_FUNCTIONS:]]
    return {
        "wait_functions": [
            {"function": function, "samples": of.count, "ms": _ms(of.ns)}
            for function, of in by_time[:TOP_FUNCTIONS]
        ],
        "wait_functions_other": {
            "samples": sum(of.count for of in rest),
            "ms": _ms(sum(of.ns for of in rest)),
        },
        "wait_functions_unsampled": {
            "count": waits.unsampled.count,
            "ms": _ms(waits.unsampled.ns),
            "refused": waits.refused,
        },
    }


def _exec(collection: Collection, observed: Observed) -> Json:
    top = collection.commands.most_common(TOP_COMMANDS)
    failures = observed.exec_failures
    return {
        "exec_count": collection.execs,
        "top_commands": [{"command": command, "count": count} for command, count in top],
        "other": collection.execs - sum(count for _, count in top),
        "forks": observed.counters["forks"],
        "exits": observed.counters["exits"],
        "lost": observed.streams["exec"].lost,
    } | (
        {}
        if failures is None
        else {
            "failures": dict(failures),
            "failures_missed": observed.counters["execs_not_awaited"],
        }
    )


def _syscall_counts(collection: Collection, observed: Observed) -> Json:
    by_count = sorted(observed.syscalls.items(), key=lambda item: (-item[1], item[0]))
    return {name: observed.syscalls.get(name, 0) for name in COUNTED_SYSCALLS} | {
        "all": dict(by_count)
    }


def _syscall_details(observed: Observed) -> Json:
    """By name, the longest first. ``count`` is of calls that were made within the run."""
    times = observed.details.syscalls or {}
    names = sorted(times, key=lambda name: (-times[name].ns, name))
    return {
        name: {
            "count": observed.syscalls.get(name, 0),
            "errors": times[name].errors,
            "interrupted": times[name].interrupted,
            "in_flight": times[name].in_flight,
            "total_ms": _ms(times[name].ns),
        }
        for name in names
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
