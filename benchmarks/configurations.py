"""The table of all configurations that a workload can be measured under."""

import os
from contextlib import ExitStack
from typing import Any

from agent.client.spawn import RunningAgent
from agent.overhead.agent_runs import AgentRun, Client
from agent.overhead.protocols import Absent, Configuration, Missing, Nothing
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS
from benchmarks.folded_run import FoldedRun
from benchmarks.peers import peers
from benchmarks.probes import probes

OURSELVES = os.getpid()
"""The suite, of whose tree the workloads are."""
KTHREADD = 2
"""The parent of all kernel threads; a scope of its descendants excludes any workload."""

AGENT_RUNS: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    *((section, f"{section} alone", (section,), {}) for section in SECTIONS),
    ("all", "all five sections", DEFAULT_SECTIONS, {}),
    (
        "runqlat-accounting",
        "runqlat, timed by accounting",
        ("runqlat",),
        {"timing": "accounting"},
    ),
    ("all-accounting", "all five, timed by accounting", DEFAULT_SECTIONS, {"timing": "accounting"}),
    ("runqlat-perf", "runqlat, perf transport", ("runqlat",), {"transport": "perf"}),
    (
        "all-elsewhere",
        "all five, scoped to an unrelated process tree",
        DEFAULT_SECTIONS,
        {"scope": {"pid": KTHREADD}},
    ),
    (
        "all-scoped",
        "all five, scoped to the workload",
        DEFAULT_SECTIONS,
        {"scope": {"pid": OURSELVES}, "wall": False},
    ),
    (
        "all-wall",
        "all five, scoped to the workload, with its wall time",
        DEFAULT_SECTIONS,
        {"scope": {"pid": OURSELVES}, "wall": True},
    ),
    ("all-perf", "all five, perf transport", DEFAULT_SECTIONS, {"transport": "perf"}),
)
"""Name, label, sections and ``/start`` options. The defaults are clock timing and a ring."""


def configurations(agent: RunningAgent | Missing, stack: ExitStack) -> list[Configuration]:
    """Return all configurations; closing ``stack`` ends their child processes."""
    return [Nothing(), *probes(stack), *agent_runs(agent), folded_run(agent), *peers(stack)]


def folded_run(agent: RunningAgent | Missing) -> Configuration:
    """Return run-queue latency alone with a full buffer, so that each wait is folded."""
    if isinstance(agent, Missing):
        return Absent(FoldedRun.name, FoldedRun.label, agent)
    return FoldedRun(agent)


def agent_runs(
    agent: Client | Missing, name_suffix: str = "", label_suffix: str = ""
) -> list[Configuration]:
    """Return all `AGENT_RUNS` of an agent, as `Absent` if the agent is missing."""
    return [
        Absent(name + name_suffix, label + label_suffix, agent)
        if isinstance(agent, Missing)
        else AgentRun(name + name_suffix, label + label_suffix, agent, sections, options)
        for name, label, sections, options in AGENT_RUNS
    ]
