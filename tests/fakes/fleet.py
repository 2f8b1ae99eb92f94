"""Several agents and their evidence, each as if it were on a machine of its own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from fakes.agent_server import serving
from fakes.run_agent import RunAgent
from fakes.sample_evidence import evidence

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.latency import latency
from agent.this_machine import boot_id


def distribution(latencies_us: Sequence[float]) -> dict[str, Any]:
    """Return the fields of a distribution, as an agent makes them."""
    histogram = LatencyHistogram()
    histogram.fold(np.array([round(us * 1000) for us in latencies_us], np.int64))
    return latency(histogram)


def of_machine(waits_us: Sequence[float] = (1, 2, 3), **changes: Any) -> dict[str, Any]:
    """Return evidence whose distribution of waits is that of these latencies."""
    reasons = [
        {"reason": "futex", "ms": 100.0, "count": 10},
        {"reason": "read", "ms": 5, "count": 1},
    ]
    whole = evidence(
        runqlat={**distribution(waits_us), "preempted_ms": 1.5, "lost": 0},
        biolatency={
            **distribution([100] * len(waits_us)),
            "with_queue": distribution([200] * len(waits_us)),
            "lost": 0,
        },
        offcpu={
            "total_ms": 107.0,
            "top_reasons": reasons,
            "other": {"ms": 2.0, "count": 4},
            "count": 15,
        },
        exec={
            "exec_count": 12,
            "top_commands": [{"command": "python3", "count": 5}, {"command": "ls", "count": 3}],
            "other": 4,
            "forks": 20,
            "exits": 19,
            "lost": 0,
        },
        completeness={"verdict": "complete", "reasons": []},
        scope={"kind": "system"},
        checks=[],
    )
    return {**whole, **changes}


def document(*others: dict[str, Any], reasons: Sequence[str] = (), **own: Any) -> dict[str, Any]:
    """Return what a run over several agents saves, before the evidence is added up.

    ``others``: evidence of other machines; ``reasons``: of further ones without evidence.
    """
    listed = [_row("here", True)]
    listed += [{**_row(f"db{n}", False), "evidence": one} for n, one in enumerate(others)]
    listed += [
        {**_row(f"gone{n}", False), "evidence": None, "reason": why}
        for n, why in enumerate(reasons)
    ]
    return {
        **of_machine(),
        "scope": {"kind": "pid", "pid": 7},
        **own,
        "fleet": {"machines": listed},
    }


def _row(machine: str, runs_workload: bool) -> dict[str, Any]:
    return {
        "agent": f"http://{machine}:9090",
        "machine": machine,
        "boot_id": f"boot-{machine}",
        "runs_workload": runs_workload,
        "reason": None,
    }


@contextmanager
def machines(*others: str, here: str = "here") -> Iterator[dict[str, RunAgent]]:
    """Serve an agent on this machine, unless ``here`` is empty, and one on each of the others."""
    with ExitStack() as stack:
        found = {}
        for name in filter(None, (here, *others)):
            boot = boot_id() if name == here else f"boot-{name}"
            own = of_machine(run_id="run-1", scope={"kind": "pid" if name == here else "system"})
            agent = RunAgent(evidence=own, machine=name, boot_id=boot)
            found[name] = stack.enter_context(serving(agent))
        yield found
