"""``python -m benchmarks kept-runs`` measures what it says, with real agents."""

import os
from typing import Any

import pytest
from fakes.overhead import FakeWorkload, World

from agent.overhead.protocols import Missing
from benchmarks import kept_runs
from benchmarks.comparison import compare_slowdowns

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.geteuid() != 0, reason="the agent becomes another user"),
]


def test_both_agents_measure_and_what_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    workloads: dict[str, Any] = {
        "Fio": FakeWorkload(World(), "fio"),
        "Pgbench": FakeWorkload(World(), "pgbench", missing=Missing("it is not installed")),
    }
    for name, workload in workloads.items():
        monkeypatch.setattr(kept_runs, name, lambda seconds, of=workload: of)
    told: list[str] = []
    [result] = kept_runs.measure_kept_runs(1, 2, lambda progress: None, told.append)
    assert not result.skipped
    [compared] = compare_slowdowns(result)
    assert (compared.rounds, compared.ratio and compared.ratio.middle) == (2, 1.0)
    assert told == ["pgbench not run: it is not installed"]
