"""``python -m benchmarks micro``: the agent's parts, measured one by one.

Each figure's name includes its unit. Everything except the fold is measured from outside a running
agent, over HTTP and from /proc.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from subprocess import PIPE, Popen
from typing import Any

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.client.http_client import AgentRefused, AgentUnreachable, Connection
from agent.client.interpreter import Invocation, own_module
from agent.client.spawn import RunningAgent, running_agent
from agent.exit_status import how_it_ended
from agent.overhead.protocols import WorkloadFailed
from agent.overhead.rounds import pinned
from agent.overhead.workloads import last_cpu
from benchmarks import CHECKOUT, highest_rate, procfs
from benchmarks.keeping import keep_and_list

RATE = 200_000
MEGA = 1e6
LABEL_SETS = 200
SCRAPES = 50
Figures = dict[str, float]


def milliseconds(
    connection: Connection, method: str, path: str, body: Mapping[str, Any] | None = None
) -> float:
    """Return the milliseconds until the answer is complete. Raises like `Connection.send`."""
    began = time.perf_counter()
    connection.send(method, path, body)
    return (time.perf_counter() - began) * 1000


def fold_alone(values: int = 10**6, repeat: int = 15) -> Figures:
    """Measure the fold of ``values`` unsorted latencies between 0.5 µs and 100 ms, ns per value."""
    drawn = np.random.default_rng(1)
    latencies = np.exp(drawn.uniform(np.log(500), np.log(1e8), values)).astype(np.uint64)
    histogram = LatencyHistogram()
    times = []
    for _ in range(repeat):
        began = time.perf_counter_ns()
        histogram.fold(latencies)
        times.append((time.perf_counter_ns() - began) / values)
    return {"fold_ns_per_value": statistics.median(times)}


def starts_and_stops(agent: RunningAgent, cycles: int) -> Figures:
    """Measure starts and stops. Must precede any other run, because the first start compiles.

    A stop waits for a grace period of RCU, which ends with a tick of the kernel, so it takes one of
    two durations, by where in the tick's period it begins. After pauses of a fixed length it would
    mostly be the same one, so each pause has a random length.
    """
    with agent.connection() as connection:
        first = milliseconds(connection, "POST", "/start", {})
        stops, starts = [milliseconds(connection, "POST", "/stop")], []
        for _ in range(cycles):
            time.sleep(random.uniform(0.02, 0.04))
            starts.append(milliseconds(connection, "POST", "/start", {}))
            time.sleep(random.uniform(0.04, 0.06))
            stops.append(milliseconds(connection, "POST", "/stop"))
    return {
        "start_first_ms": first,
        "start_later_ms": statistics.median(starts),
        "stop_ms": statistics.median(stops),
    }


def idle(agent: RunningAgent, seconds: float) -> Figures:
    """Measure CPU, memory and attachments between two runs, with the programs loaded."""
    pids = procfs.tree(agent.pid)
    before = procfs.cpu_ns(pids)
    time.sleep(seconds)
    return {
        "idle_cpu_percent": (procfs.cpu_ns(pids) - before) / (seconds * 1e9) * 100,
        "idle_attached": procfs.attached(pids),
        "pss_idle_mb": procfs.pss_bytes(pids) / MEGA,
    }


def under_load(agent: RunningAgent, rate: int, seconds: float) -> Figures:
    """Measure the userspace cost of ``rate`` events per second, and the longest event-loop stall.

    The load is pinned to the last CPU. CPU time is counted from the answer to ``/start`` to the
    ``/stop``. Events are counted over the whole run, which contains only the load.
    """
    pids = procfs.tree(agent.pid)
    agent.post("/start", {})
    before, began = procfs.cpu_ns(pids), time.monotonic()
    load = start_load(rate, seconds)
    time.sleep(seconds)
    used, took = procfs.cpu_ns(pids) - before, time.monotonic() - began
    memory = procfs.pss_bytes(procfs.tree(agent.pid)), procfs.map_bytes(pids)
    load.communicate()
    evidence = agent.post("/stop")
    check_ended(load)
    events = event_count(evidence)
    return {
        "userspace_ns_per_event": used / max(events, 1),
        "events_per_second": events / took,
        "agent_cpu_percent": used / (took * 1e9) * 100,
        "pss_running_mb": memory[0] / MEGA,
        "map_memory_mb": memory[1] / MEGA,
        "longest_stall_ms": evidence["overhead"]["longest_stall_ms"],
    }


def asked_all_the_time(agent: RunningAgent, rate: int, seconds: float) -> Figures:
    """Measure the same run with a client that asks every 2 ms: its waits, and the longest stall.

    The load, the client and the agent share the CPUs, so both figures include the agent's own wait
    for a CPU.
    """
    agent.post("/start", {})
    load = start_load(rate, seconds)
    answers, until = [], time.monotonic() + seconds
    with agent.connection() as connection:
        while time.monotonic() < until:
            answers.append(milliseconds(connection, "GET", "/status"))
            time.sleep(0.002)
    load.communicate()
    evidence = agent.post("/stop")
    check_ended(load)
    return {
        "status_ms_longest": max(answers),
        "status_ms_p99": float(np.quantile(answers, 0.99)),
        "longest_stall_ms_asked": evidence["overhead"]["longest_stall_ms"],
    }


def start_load(rate: int, seconds: float) -> "Popen[bytes]":
    """Start `benchmarks.load` on the last CPU."""
    load = own_module("benchmarks.load", str(rate), str(seconds), folder=CHECKOUT)
    with pinned(last_cpu()):
        return Popen(load.command, env=dict(load.environment), stdout=PIPE)


def check_ended(load: "Popen[bytes]") -> None:
    """Raise `WorkloadFailed` for a load that failed: what it should have made is missing."""
    if load.returncode != 0:
        raise WorkloadFailed(f"the load {how_it_ended(load.returncode)}")


def growth_with_rate(agent: RunningAgent, seconds: float) -> Figures:
    """Measure ns per event at a quarter, half and all of `RATE`."""
    return {
        f"userspace_ns_per_event_at_{rate}": under_load(agent, rate, seconds)[
            "userspace_ns_per_event"
        ]
        for rate in (RATE // 4, RATE // 2, RATE)
    }


def scrape(agent: RunningAgent) -> Figures:
    """Measure ``/metrics`` with the maximum number of label sets, each from its own run."""
    memory: Figures = {}
    with agent.connection() as connection:
        for number in range(LABEL_SETS):
            connection.send("POST", "/start", {"scenario": "micro", "commit": f"{number:040x}"})
            connection.send("POST", "/stop")
            if number + 1 in (1, 10, 100):
                pss = procfs.pss_bytes(procfs.tree(agent.pid))
                memory[f"pss_mb_with_{number + 1}_label_sets"] = pss / MEGA
        times = [milliseconds(connection, "GET", "/metrics") for _ in range(SCRAPES)]
    return {"metrics_ms": statistics.median(times), "metrics_ms_longest": max(times), **memory}


def many_tasks(agent: RunningAgent) -> Figures:
    """Measure memory while 1,000 tasks (25 groups of hackbench) are tracked."""
    agent.post("/start", {})
    with Popen(["hackbench", "-g", "25", "-l", "500"], stdout=PIPE) as hackbench:
        time.sleep(1)
        pss = procfs.pss_bytes(procfs.tree(agent.pid))
        hackbench.communicate()
    agent.post("/stop")
    check_ended(hackbench)
    return {"pss_mb_with_1000_tasks": pss / MEGA}


def event_count(evidence: Mapping[str, Any]) -> int:
    """Return the total of ``overhead.events`` over all streams."""
    events = evidence["overhead"]["events"]
    return int(sum(events.values()) if isinstance(events, Mapping) else events)


def measure_parts(
    full: bool,
    tell: Callable[[str], None],
    invocation: Invocation | None = None,
    fold: Callable[[], Figures] = fold_alone,
) -> Figures:
    """Return every figure that can be measured, and report each one immediately.

    A part that fails is reported and left out. ``invocation`` and ``fold`` are for measuring the
    agent of another checkout. Raises `AgentDidNotStart`.
    """
    figures: Figures = {}
    seconds = 10.0 if full else 3.0
    figures |= _part("fold", fold, tell)
    with running_agent(invocation=invocation) as agent:
        parts: dict[str, Callable[[], Figures]] = {
            "start and stop": lambda: starts_and_stops(agent, 50 if full else 10),
            "idle": lambda: idle(agent, seconds),
            "under load": lambda: under_load(agent, RATE, seconds),
            "asked all the time": lambda: asked_all_the_time(agent, RATE, seconds),
            "growth with the rate": lambda: growth_with_rate(agent, seconds),
            "many tasks": lambda: many_tasks(agent),
            "scrape": lambda: scrape(agent),
        }
        if invocation is None:  # it is this checkout's store that would be measured
            parts["keeping runs"] = lambda: keep_and_list(agent)
        for name, part in parts.items():
            figures |= _part(name, partial(of_collecting, agent, part), tell)
    figures |= _part(
        "highest rate", lambda: highest_rate.measure(60.0 if full else 5.0, tell, invocation), tell
    )
    return figures


def of_collecting(agent: RunningAgent, part: Callable[[], Figures]) -> Figures:
    """Return a part's figures, if the agent collects: one that attaches nothing would look cheap.

    Raises `WorkloadFailed` otherwise.
    """
    figures = part()
    ebpf = agent.get("/status").get("ebpf", {})
    if ebpf.get("available") is False:
        raise WorkloadFailed(f"the agent cannot collect: {ebpf.get('reason')}")
    return figures


def _part(name: str, part: Callable[[], Figures], tell: Callable[[str], None]) -> Figures:
    try:
        figures = part()
    except (AgentRefused, AgentUnreachable, WorkloadFailed, OSError, KeyError) as error:
        tell(f"{name}: not measured: {error!r}")
        return {}
    for figure, value in figures.items():
        tell(f"{figure}: {value:.4g}")
    return figures
