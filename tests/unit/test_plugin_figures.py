"""Figures of several runs for tools that keep names and values, and the hook for pyperf."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import pytest
from fakes.agent_server import ended
from fakes.any_json import JSON
from fakes.run_agent import RunAgent
from fakes.sample_evidence import evidence, latency
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.histogram import LatencyHistogram
from agent.plugins.figures import figures_of
from agent.plugins.pyperf_hook import Hook

LATENCIES = st.lists(st.integers(0, 10**11), max_size=30)


def of_latencies(values: Sequence[int]) -> dict[str, Any]:
    histogram = LatencyHistogram()
    histogram.fold(np.array(values, np.uint64))
    summary = histogram.summary()
    return evidence(runqlat=latency(**summary, hdr=histogram.encode()))


@given(st.lists(LATENCIES, min_size=2, max_size=4))
def test_a_percentile_is_that_of_all_values_together(runs: list[list[int]]) -> None:
    together = sorted(value for run in runs for value in run)
    found = figures_of([of_latencies(run) for run in runs]).get("runqlat_p95_us")
    if not together:
        assert found is None
        return
    nearest_rank = together[ceil(len(together) * 95 / 100) - 1]
    assert found == pytest.approx(nearest_rank / 1000, rel=0.0005, abs=0.001)


def test_of_one_run_the_percentile_is_the_agents() -> None:
    assert figures_of([evidence()])["runqlat_p95_us"] == 6.31


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=5))
def test_sums_are_means_over_the_runs(totals: list[float]) -> None:
    runs = [evidence(offcpu={"total_ms": ms, "top_reasons": []}) for ms in totals]
    found = figures_of(runs)
    assert found["runs"] == len(totals)
    assert found["offcpu_total_ms"] == pytest.approx(sum(totals) / len(totals))


def test_what_is_not_known_of_every_run_is_absent() -> None:
    without = evidence()
    del without["biolatency"]
    without["offcpu"] = {"total_ms": None}
    without["syscall_counts"] = {"futex": 1, "all": {"futex": None}}
    without["runqlat"] = latency(hdr="garbage")
    found = figures_of([evidence(), without])
    assert found["exec_count"] == 12
    assert found["syscall_futex"] == (1250 + 1) / 2
    lacking = {"biolatency_count", "biolatency_p95_us", "offcpu_total_ms", "syscalls"}
    assert not found.keys() & {*lacking, "runqlat_p95_us"}


def with_verdict(verdict: str, *reasons: str, **changes: Any) -> dict[str, Any]:
    return evidence(completeness={"verdict": verdict, "reasons": list(reasons)}, **changes)


def test_the_verdict_is_the_worst_and_what_is_invalid_is_in_no_figure() -> None:
    runs = [
        with_verdict("complete"),
        with_verdict("invalid", "lost: many", exec={"exec_count": 10**6}),
        with_verdict("degraded", "lost: few", "check_failed: one"),
    ]
    found = figures_of(runs)
    assert (found["verdict"], found["runs"]) == ("invalid", 2)
    assert found["reasons"] == "lost; check_failed"
    assert found["exec_count"] == 12
    missing = {"available": False, "reason": "there is no agent"}
    assert figures_of([*runs, missing])["verdict"] == "none"
    assert figures_of([missing]) == {"verdict": "none", "runs": 0, "reasons": "there is no agent"}
    assert figures_of([]) == {"verdict": "none", "runs": 0}


def budget(**changes: Any) -> dict[str, Any]:
    states = {"computing": {"ms": 7.0}, "blocked": {"ms": 3.0}}
    return {"available": True, "wall_ms": 10.0, "states": states, **changes}


def test_the_budget_of_wall_time_unless_a_check_of_it_failed() -> None:
    passed, failed = ([{"name": "wall_sum", "pass": result}] for result in (True, False))
    found = figures_of([evidence(wall=budget(), checks=passed)])
    assert (found["wall_ms"], found["wall_computing_ms"], found["wall_blocked_ms"]) == (10, 7, 3)
    assert "wall_ms" not in figures_of([evidence(wall=budget(), checks=failed)])
    assert "wall_ms" not in figures_of([evidence(wall={"available": False})])


def test_the_time_of_the_block_is_a_figure_if_it_is_known_of_every_run() -> None:
    runs = [{**evidence(), "block_ms": 4.0}, {**evidence(), "block_ms": 6.0}]
    assert figures_of(runs)["block_ms"] == 5
    assert "block_ms" not in figures_of([*runs, {**evidence(), "block_ms": None}])


@given(st.lists(st.sampled_from(list(evidence())), max_size=4), JSON, st.integers(1, 3))
def test_whatever_an_agent_says_becomes_metadata_that_pyperf_takes(
    parts: list[str], anything: Any, runs: int
) -> None:
    found = figures_of([evidence(wall=budget(), **dict.fromkeys(parts, anything))] * runs)
    assert all(type(value) in (int, float, str) for value in found.values())
    texts = [value for value in found.values() if isinstance(value, str)]
    assert all(text.strip() and text.isprintable() for text in texts)
    assert not any(value != value for value in found.values()), "no NaN"


def test_no_synthetic_number_passes_for_a_real_one() -> None:
    assert figures_of([evidence(mock=True)])["mock"] == 1
    assert "mock" not in figures_of([evidence()])


# --- the hook for pyperf


def values_of(hook: Hook, number: int) -> None:
    for _ in range(number):
        with hook:
            pass


def test_the_values_of_a_worker(agent: RunAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT", agent.url)
    warm_up, hook = Hook(), Hook()
    metadata = {"loops": 1}
    values_of(warm_up, 1)
    warm_up.teardown(metadata)
    metadata["chainbench_only_of_the_warm_up"] = 1
    values_of(hook, 3)
    hook.teardown(metadata)
    assert metadata["loops"] == 1
    assert metadata["chainbench_runs"] == 3
    assert "chainbench_only_of_the_warm_up" not in metadata
    assert all(type(value) in (int, float, str) for value in metadata.values())
    assert agent.scopes == ["caller"] * 4


def test_after_a_value_without_evidence_no_other_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = Hook()
    metadata: dict[str, Any] = {}
    with ended() as gone:
        monkeypatch.setenv("CHAINBENCH_AGENT", gone.url)
        values_of(hook, 3)
        hook.teardown(metadata)
    assert capsys.readouterr().err.count("chainbench: no evidence: no answer from") == 1
    assert metadata["chainbench_verdict"] == "none"
    assert metadata["chainbench_runs"] == 0


def test_an_exception_of_a_value_is_untouched_and_the_run_is_ended(
    agent: RunAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT", agent.url)
    with pytest.raises(ZeroDivisionError), Hook():
        raise ZeroDivisionError
    assert agent.routes[-1] == "POST /stop"
