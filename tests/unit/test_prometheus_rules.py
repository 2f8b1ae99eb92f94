"""The files in deploy/ for Prometheus and Grafana, without a server."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.monitoring import PROMETHEUS
from fakes.pages import DOCS, ROOT, hold, names

DASHBOARD = ROOT / "deploy/grafana/chainbench-agent.json"
METRICS = DOCS / "reference/metrics.md"


def promtool(tool: Callable[[str], str], *arguments: str) -> None:
    command = [tool("promtool"), *arguments]
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_and_the_rules_are_valid(tool: Callable[[str], str]) -> None:
    promtool(tool, "check", "config", "prometheus.yml")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["rules_test.yml", "rules_day_test.yml"])
def test_every_alert_fires_and_ends_as_its_tests_say(tool: Callable[[str], str], name: str) -> None:
    promtool(tool, "test", "rules", name)


def test_every_alert_is_seen_firing() -> None:
    """Tests in which nothing fires would pass without the rules."""
    alerts = re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text())
    tests = (PROMETHEUS / "rules_test.yml").read_text()
    firing = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests)
    silent = re.findall(r"alertname: (\w+)\n +exp_alerts: \[\]\n", tests)
    hold(PROMETHEUS / "rules_test.yml", "firing", alerts, firing)
    hold(PROMETHEUS / "rules_test.yml", "silent", alerts, silent)


def expressions(path: Path) -> str:
    """Return the expressions in a file of rules or a dashboard, as one text."""
    text = path.read_text()
    if path.suffix == ".json":
        targets = [t for panel in json.loads(text)["panels"] for t in panel.get("targets", [])]
        return "\n".join(target["expr"] for target in targets)
    return "\n".join(re.findall(r"expr: (?:>-\n(?: {8,}.*\n| {10,}.*\n)+|.*)", text))


@pytest.mark.parametrize(
    "path",
    [PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml", DASHBOARD],
    ids=lambda path: path.name,
)
def test_every_metric_that_is_asked_for_is_documented(path: Path) -> None:
    documented = {n for h in ("Of the runs", "Of the agent itself") for n in names(METRICS, h)}
    used = set(re.findall(r"(?<![\w:])chainbench_\w+", expressions(path)))
    assert used
    families = {
        name if name in documented else re.sub(r"_(bucket|sum|count)$", "", name) for name in used
    }
    assert families <= documented


@pytest.mark.parametrize("path", [PROMETHEUS / "alerts.yml", DASHBOARD], ids=lambda path: path.name)
def test_every_recorded_series_that_is_asked_for_is_recorded(path: Path) -> None:
    recorded = re.findall(r"- record: (\S+)", (PROMETHEUS / "recording.yml").read_text())
    assert set(re.findall(r"chainbench:[\w:]+", expressions(path))) <= set(recorded)


def test_a_run_is_no_rate() -> None:
    """A run between two scrapes has none: only what the agents count themselves may be one."""
    for path in (PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml", DASHBOARD):
        rates = re.findall(r"\b(?:rate|increase|irate|delta)\((\w+)", expressions(path))
        of_runs = {name for name in rates if not name.startswith("chainbench_agent_")}
        # a heatmap over the time of a long run, whose row says so
        waits = "chainbench_runqlat_microseconds"
        assert of_runs <= {waits, f"{waits}_bucket"}


def test_every_panel_of_the_dashboard_has_its_place() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
