"""Pairs of which all is known, and the cause that is found of their difference."""

from typing import Any

from fakes.sample_evidence import evidence

from agent.comparison.budget import Budget, budget_of
from agent.comparison.causes import cause_of
from agent.comparison.designs import PAIRS
from agent.statistics.comparison import shift

JITTER = (0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.15, -0.25, 0.05, -0.05)
SLEEP = "clock_nanosleep"


def run(n: int, **changes: Any) -> tuple[Budget | None, float]:
    """Return a run's budget and wall time: 20 ms computing, and what is changed."""
    has: dict[str, Any] = {
        "computing": 20.0,
        "cpu": changes.get("computing", 20.0),
        "busy": 1.0,
        "idle": 0.1,
        "blocked": {},
        "sums": changes.get("blocked", {}),
        "calls": {"brk": 100},
        "execs": 1,
        "forks": 0,
        "stolen": 0,
        "waited": 1.0,
        "waits": 10,
        "blocks": 5,
        "preempted": 0.0,
        "throttled": 0.0,
        "first": None,
        "had": {},
        "stopped": 0.0,
        "waking": 0.0,
        "system": 2.0,
        "faults": 1000,
        "io": 0.0,
        "requests": 0,
        "uninterruptible": 0.0,
        "other": 0.0,
        "unlisted": 0.0,
        "failing": False,
        **changes,
    }
    jitter = JITTER[n % len(JITTER)]
    blocked = {name: ms + jitter * (ms > 0) for name, ms in has["blocked"].items()}
    states = has["computing"] + has["busy"] + has["idle"] + has["stopped"] + has["other"]
    wall = states + sum(blocked.values()) + jitter / 2
    disk = has["uninterruptible"]
    whole = evidence(
        wall={
            "available": True,
            "wall_ms": wall,
            "states": {
                "computing": {"ms": has["computing"] + jitter / 2},
                "stopped": {"ms": has["stopped"]},
            },
            "cpu_ms": has["cpu"] + jitter / 2,
            "for_busy_cpu_ms": has["busy"],
            "for_idle_cpu_ms": has["idle"],
            "waking_ms": has["waking"],
            "throttled_ms": has["throttled"],
            "for_busy_cpu_of": [{"command": name, "ms": ms} for name, ms in has["had"].items()],
            "by_thread": {
                "top": [{"on_cpu_ms": has["cpu"] if has["first"] is None else has["first"]}]
            },
            "blocked_until": [{"reason": name, "ms": ms} for name, ms in blocked.items()],
            "blocked_other_ms": has["other"],
        },
        offcpu={
            "total_ms": 1.0,
            "count": has["blocks"],
            "top_reasons": [
                {"reason": name, "ms": ms, "interruptible_ms": ms * (1 - disk)}
                for name, ms in has["sums"].items()
            ],
            "other": {"ms": has["unlisted"], "count": int(has["unlisted"] > 0)},
            "by_state": {"preempted_ms": has["preempted"]},
        },
        runqlat={"count": has["waits"], "mean_us": has["waited"] * 1e3 / has["waits"]},
        biolatency={
            "count": has["requests"],
            "mean_us": has["io"] * 1e3 / has["requests"] if has["requests"] else None,
        },
        exec={"exec_count": has["execs"], "forks": has["forks"]},
        stolen_ms=has["stolen"],
        syscall_counts={"all": has["calls"]},
        checks=[
            {"name": "wall_sum", "stolen": 0, "pass": not has["failing"]},
        ],
    )
    command = {
        "user_ms": has["cpu"] - has["system"],
        "system_ms": has["system"],
        "minor_faults": has["faults"],
    }
    return budget_of(command, whole), wall


def found(before: dict[str, Any], after: dict[str, Any], pairs: int = 10) -> dict[str, Any]:
    both = [(run(n, **before), run(n + 3, **after)) for n in range(pairs)]
    wall = shift([one[1] for one, _ in both], [two[1] for _, two in both])
    budgets = [one[0] for one, _ in both], [two[0] for _, two in both]
    cause: dict[str, Any] = cause_of(PAIRS, *budgets, wall)
    return cause


def blocked(reason: str, ms: float, **changes: Any) -> dict[str, Any]:
    return {"blocked": {reason: ms}, **changes}


def on_disk(reason: str, ms: float, requests: int, **changes: Any) -> dict[str, Any]:
    """Return a run that was blocked for a disk, for most of the time of its requests."""
    disk = {"requests": requests, "io": ms * 0.9, "uninterruptible": 1.0}
    return blocked(reason, ms, calls={reason: 30}, **{**disk, **changes})
