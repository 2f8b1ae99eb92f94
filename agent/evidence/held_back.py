"""What kept a run from its CPUs from outside: a CPU quota, and a hypervisor."""

from agent.streams.collect.cpu_quota import Limited, Throttling
from agent.streams.shared.kernel_counts import TICK_NS, Edge, are_known
from agent.words import Json


def quota(throttling: Throttling) -> Json:
    """Return the object ``cpu_quota``."""
    if throttling.reason:
        return {"available": False, "reason": throttling.reason}
    return {
        "available": True,
        "throttled_ms": _ms(throttling.ns),
        "to_root": throttling.to_root,
        "limits": [_limit(limited) for limited in throttling.limits],
    }


def stolen_ms(edges: tuple[Edge, Edge]) -> float | None:
    """Return the time for which a hypervisor took CPUs away, in ms, as the kernel counts it.

    None if that could not be read.
    """
    before, after = edges
    if not are_known(edges):
        return None
    return max(after.kernel.stolen_ticks - before.kernel.stolen_ticks, 0) * TICK_NS / 1e6


def _limit(limited: Limited) -> Json:
    quota_us, period_us, during = limited.quota_us, limited.period_us, limited.during
    return {
        "cgroup": limited.path,
        "quota_ms": None if quota_us is None else quota_us / 1e3,
        "period_ms": None if period_us is None else period_us / 1e3,
        "periods": during.periods,
        "throttled": during.throttled,
        "throttled_ms": _ms(during.throttled_ns),
    }


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6
