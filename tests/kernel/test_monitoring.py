"""Real runs of real agents under real servers: the dashboard, the rules, several machines."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from fakes.disks import Disk
from fakes.monitoring import configuration, victoria_metrics
from fakes.pages import ROOT
from fakes.prometheus_server import NATIVE, prometheus_with, query, until_there, value
from fakes.real_agent import RealAgent, running
from fakes.run_command import finished, line
from fakes.waiting import eventually

from agent.client.http_client import AgentClient

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

DASHBOARD = ROOT / "deploy/grafana/chainbench-agent.json"
LABELS = {"impl": "dd", "variant": "direct", "dataset": "d"}
OF_DD = '{impl="dd"}'
RESULT = {
    "baseline_ms": 2.0,
    "optimized_ms": 1.0,
    "gain_pct": 50.0,
    "baseline_success": 3,
    "optimized_success": 3,
}


@pytest.fixture(scope="module")
def measuring() -> Iterator[RealAgent]:
    with running() as agent:
        yield agent


def one_run(agent: RealAgent, commit: str, disk: Disk, folder: Path) -> bool:
    """Do what a runner does: measure a command that writes to a disk, and report.

    Return whether the evidence is complete. On a busy machine it may be degraded, and the run is
    then none that others are compared with.
    """
    evidence = folder / "evidence.json"
    labels = {**LABELS, "commit": commit}
    named = [word for name, text in labels.items() for word in (f"--{name}", text)]
    options = ["--agent", agent.url, "--json", evidence, "--no-store", "--scenario", "optimized"]
    with tempfile.NamedTemporaryFile(dir=disk.folder) as file:
        copy = ["dd", "if=/dev/zero", f"of={file.name}", "bs=4k", "count=200", "oflag=direct"]
        done = finished(line("run", *options, *named, "--", *copy))
    assert done.returncode == 0, done.stderr
    AgentClient(agent.url).post("/report", {**labels, **RESULT})
    return bool(json.loads(evidence.read_text())["completeness"]["verdict"] == "complete")


def expressions() -> list[str]:
    """Return those of the dashboard as Grafana sends them."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    meant = [expression.replace("$__rate_interval", "1m") for expression in asked]
    return [re.sub(r"\$(machine|scenario|impl|variant)\b", ".*", one) for one in meant]


@pytest.mark.thorough
@pytest.mark.parametrize("options", [(), NATIVE], ids=["classic", "native"])
def test_every_expression_of_the_dashboard_finds_something_after_real_runs(
    measuring: RealAgent,
    tool: Callable[[str], str],
    disk: Disk,
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    """A run that no scrape saw is found by the rules as well: `rate` would show none of it."""
    config = configuration(tmp_path, [measuring.url])
    with prometheus_with(tool("prometheus"), config, *options) as url:
        for commit in ("c1", "c2"):
            eventually(partial(one_run, measuring, commit, disk, tmp_path))
        for expression in expressions():
            assert until_there(url, expression), expression
        [reference] = until_there(url, f"chainbench:reference_run_runqlat_seconds:p99{OF_DD}")
        [latest] = until_there(url, f"chainbench:latest_run_runqlat_seconds:p99{OF_DD}")
        assert (latest["metric"]["commit"], reference["metric"]["commit"]) == ("c2", "c1")
        [gain] = until_there(url, "chainbench:latest_gain_percent")
        assert gain["value"][1] == "50"
        failed = {**LABELS, "commit": "c2", **RESULT, "optimized_success": 1}
        AgentClient(measuring.url).post("/report", failed)
        [alert] = until_there(url, 'ALERTS{alertname="ChainbenchBenchmarkFailed"}')
        assert (alert["metric"]["scenario"], alert["metric"]["commit"]) == ("optimized", "c2")


MACHINES = ("a", "b", "c")
OF_THE_RUN = '{scenario="fleet"}'
WAITS = "chainbench_runqlat_microseconds"
QUANTILES = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999}


def until(url: str, promql: str, expected: float) -> None:
    eventually(lambda: value(url, promql) == expected)


@pytest.mark.thorough
def test_three_machines_under_one_prometheus_and_one_victoria_metrics(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """Their sum is that of the evidence: to the width of a bucket, native or classic."""
    with ExitStack() as stack:
        agents = [stack.enter_context(running(["--machine", name])) for name in MACHINES]
        config = configuration(tmp_path, [agent.url for agent in agents])
        first = stack.enter_context(prometheus_with(tool("prometheus"), config, *NATIVE))
        second = stack.enter_context(victoria_metrics(tool("victoria-metrics"), config))
        file = tmp_path / "x.json"
        named = [word for agent in agents for word in ("--agent", agent.url)]
        options = ["--no-store", "--scenario", "fleet", "--json", file]
        script = "for i in $(seq 300); do /bin/true; done"
        finished(line("run", *named, *options, "--", "sh", "-c", script))
        waits = json.loads(file.read_text())["fleet"]["merged"]["runqlat"]
        assert waits["machines"] == len(MACHINES)
        sums = {
            first: (f"histogram_count(sum({WAITS}{OF_THE_RUN}))", f"sum({WAITS}{OF_THE_RUN})"),
            second: (
                f"sum({WAITS}_count{OF_THE_RUN})",
                f"sum by (le) ({WAITS}_bucket{OF_THE_RUN})",
            ),
        }
        for url, (total, _) in sums.items():
            until(url, total, waits["count"])
            by_machine = f"count by (machine) (chainbench_runs_total{OF_THE_RUN})"
            found = {row["metric"]["machine"] for row in query(url, by_machine)}
            assert found == {*MACHINES}
        for name, quantile in QUANTILES.items():
            exact, (_, all_buckets) = waits[name], sums[first]
            native_one = value(first, f"histogram_quantile({quantile}, {all_buckets})")
            assert native_one == pytest.approx(exact, rel=0.025), name
            _, all_buckets = sums[second]
            classic = value(second, f"histogram_quantile({quantile}, {all_buckets})")
            assert exact / 2 <= max(classic, 1) <= 2 * max(exact, 1), name
