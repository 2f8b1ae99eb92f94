"""``/metrics`` of a real agent: its figures are those of the evidence, and promtool reads it."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from fakes.prometheus_server import NATIVE, prometheus, until_there, value
from fakes.real_agent import RealAgent, running
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.aggregate.histogram import LatencyHistogram

CHURN = "import time\nfor _ in range(3000): time.sleep(0.0001)"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(agent: RealAgent, name: str, **labels: str) -> list[Any]:
    page = requests.get(f"{agent.url}/metrics", headers={"Accept": OPENMETRICS}).text
    return [
        sample
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def by(label: str, found: list[Any]) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in found}


@pytest.mark.thorough
def test_the_last_run_is_shown_as_in_its_evidence(agent: RealAgent) -> None:
    for commit in ("one", "two"):
        with agent.run(commit=commit, impl="x", scope="caller") as run:
            subprocess.run([sys.executable, "-c", CHURN], check=True)
        found = samples(agent, "chainbench_last_run_runqlat_seconds", commit=commit)
        names = {"50": "p50_us", "90": "p90_us", "95": "p95_us", "99": "p99_us", "99.9": "p999_us"}
        section = run.evidence["runqlat"]
        assert by("percentile", found) == pytest.approx(
            {label: section[name] / 1e6 for label, name in names.items()}
        )
        (waits,) = samples(agent, "chainbench_last_run_runqlat_waits", commit=commit)
        assert waits.value == section["count"]
        wall = by("state", samples(agent, "chainbench_last_run_wall_seconds", commit=commit))
        states = run.evidence["wall"]["states"]
        assert wall == pytest.approx(
            {name: max(0, state["ms"]) / 1e3 for name, state in states.items()}
        )
        (ended,) = samples(agent, "chainbench_last_run_timestamp_seconds", commit=commit)
        assert ended.labels["verdict"] == run.evidence["completeness"]["verdict"]
        (unavailable,) = samples(agent, "chainbench_runs_unavailable_total", commit=commit)
        assert unavailable.value == 0
        (created,) = samples(agent, "chainbench_exec_count_created", commit=commit)
        assert created.value <= ended.value


def test_promtool_dislikes_only_names_of_the_contract(
    agent: RealAgent, tool: Callable[[str], str]
) -> None:
    """The whole page of an agent that has made runs of every section, and taken a report."""
    sections = ["runqlat", "biolatency", "offcpu", "exec", "syscall_counts", "softirq"]
    with agent.run(scope="caller", sections=sections):
        subprocess.run(["true"], check=True)
    figures = {"baseline_ms": 2, "optimized_ms": 1, "gain_pct": 50, "baseline_success": 1}
    requests.post(f"{agent.url}/report", json=figures)
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=agent.metrics(),
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = {line.split()[0] for line in checked.stderr.splitlines()}
    assert complaints == {
        "chainbench_runqlat_microseconds",
        "chainbench_biolatency_microseconds",
        "chainbench_offcpu_milliseconds_total",
        "chainbench_duration_milliseconds",
    }, checked.stderr


@pytest.mark.thorough
def test_native_quantiles_are_those_of_the_evidence(
    agent: RealAgent, tool: Callable[[str], str], tmp_path: Path
) -> None:
    port = urlsplit(agent.url).port
    assert port is not None
    name = 'chainbench_runqlat_microseconds{commit="native"}'
    with prometheus(tool("prometheus"), port, tmp_path, *NATIVE) as address:
        with agent.run(commit="native") as run:
            subprocess.run([sys.executable, "-c", CHURN], check=True)
        section = run.evidence["runqlat"]
        until_there(address, f"histogram_count({name}) == {section['count']}")
        histogram = LatencyHistogram.decode(section["hdr"])
        compared = 0
        for quantile in (0.5, 0.9, 0.95, 0.99, 0.999):
            rank = quantile * section["count"]
            ranks = (math.floor(rank), math.ceil(rank), math.floor(rank) + 1)
            near = histogram.percentiles_ns([min(1.0, at / section["count"]) for at in ranks])
            if len({math.ceil(math.log2(ns / 1000) * 32) for ns in near if ns}) == 1:
                expected = histogram.percentiles_ns([quantile])[0]
                assert expected is not None
                found = value(address, f"histogram_quantile({quantile}, {name})")
                assert found == pytest.approx(expected / 1000, rel=0.025)
                compared += 1
        assert compared


@pytest.mark.thorough
def test_a_label_set_that_was_hidden_goes_on_where_it_was() -> None:
    with running(["--label-sets", "2"], ready=False) as agent:
        hidden = []
        for commit in ("a", "b", "c", "a"):
            with agent.run(commit=commit) as run:
                subprocess.run(["true"], check=True)
            hidden.append(run.started.get("label_sets_hidden", 0))
        assert hidden == [0, 0, 1, 1]
        runs = samples(agent, "chainbench_runs_total", result="success")
        assert by("commit", runs) == {"c": 1, "a": 2}
        states = samples(agent, "chainbench_agent_label_sets")
        assert by("state", states) == {"shown": 2, "hidden": 1}
        (begun,) = samples(agent, "chainbench_runs_created", commit="a", result="success")
        (ended,) = samples(agent, "chainbench_last_run_timestamp_seconds", commit="c")
        assert begun.value < ended.value, "not created anew"
