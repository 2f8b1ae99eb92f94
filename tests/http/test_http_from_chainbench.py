"""docs/how-to/from-chainbench.md, as far as it can be tried without a container engine."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.certificates import issued
from fakes.http_server import running_server
from fakes.pages import DOCS, snippets
from fakes.prometheus_server import free_address, prometheus_of_debian_13, served_by, value
from fakes.totals import run_totals

from agent.aggregate.series import LabelSet

PAGE = DOCS / "how-to/from-chainbench.md"
PROMETHEUS = DOCS / "how-to/prometheus.md"


def blocks() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the compose file, and the configuration of Prometheus next to it."""
    compose, configuration = map(yaml.safe_load, snippets(PAGE, "yaml"))
    return compose, configuration


def test_the_compose_file_uses_what_it_declares() -> None:
    compose, _ = blocks()
    service = compose["services"]["prometheus"]
    assert service["network_mode"] == "host"
    mounted = [volume.split(":")[0] for volume in service["volumes"]]
    assert mounted == ["./prometheus.yml", *compose["volumes"]]
    assert all(option.startswith("--") for option in service["command"])


@pytest.mark.thorough
def test_a_server_of_that_version_scrapes_with_these_options_and_files(tmp_path: Path) -> None:
    compose, configuration = blocks()
    service = compose["services"]["prometheus"]
    program = prometheus_of_debian_13()
    version = service["image"].rpartition(":v")[2]
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert f"version {version}" in said.stdout + said.stderr
    with running_server() as server:
        labels = LabelSet("baseline", "python", "numpy", "c0ffee", "bench-7", "d00d")
        totals = run_totals(exec_count=3)
        server.call(lambda: server.recorder.series.commit(labels, totals, "success"))
        (job,) = configuration["scrape_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{server.port}"]}]
        configuration["global"]["scrape_interval"] = "1s"
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration))
        address = free_address()
        inside = {
            "/etc/prometheus/prometheus.yml": str(file),
            "=/prometheus": f"={tmp_path}/data",
            "127.0.0.1:9091": address,
        }
        command = [program]
        for option in service["command"]:
            for there, here in inside.items():
                option = option.replace(there, here)
            command.append(option)
        with served_by(command):
            assert value(f"http://{address}", "chainbench_exec_count_total") == 3


@pytest.mark.parametrize("page", [PAGE, PROMETHEUS], ids=lambda page: page.stem)
def test_promtool_accepts_the_configurations(
    page: Path, tool: Callable[[str], str], tmp_path: Path
) -> None:
    """Debian 12's: it does not know what later versions have added."""
    tried = 0
    for text in snippets(page, "yaml"):
        parsed = yaml.safe_load(text)
        kind = "config" if "scrape_configs" in parsed else "rules" if "groups" in parsed else None
        if kind is None:
            continue
        for job in parsed.get("scrape_configs", ()):
            job.pop("scrape_classic_histograms", None)
            for part, name in (("authorization", "credentials_file"), ("tls_config", "ca_file")):
                if name in job.get(part, {}):  # which promtool looks for
                    job[part][name] = str(issued(tmp_path / "tls").authority)
        file = tmp_path / "file.yml"
        file.write_text(yaml.safe_dump(parsed))
        command = [tool("promtool"), "check", kind, file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        tried += 1
    assert tried


@pytest.mark.parametrize("page", [PAGE, PROMETHEUS], ids=lambda page: page.stem)
def test_promtool_parses_every_query(
    page: Path, tool: Callable[[str], str], tmp_path: Path
) -> None:
    text = page.read_text()
    functions = re.compile(r"(histogram_\w+|rate|\w+_over_time)\(\w")
    queries = [cell for cell in text.split("`")[1::2] if functions.match(cell)]
    queries += [
        query
        for block in snippets(page, "promql")
        for query in (block.splitlines() if "\n  " not in block else [block])
    ]
    assert queries
    rules = [{"record": f"r{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = [tool("promtool"), "check", "rules", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
