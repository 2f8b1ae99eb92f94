"""Servers that scrape agents with this project's own configuration."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fakes.pages import ROOT
from fakes.prometheus_server import free_address, served_by

PROMETHEUS = ROOT / "deploy" / "prometheus"


def configuration(folder: Path, agents: Sequence[str]) -> Path:
    """Write the project's own configuration, with these agents as targets and every second."""
    targets = ", ".join(f'"{url.removeprefix("http://")}"' for url in agents)
    text = (PROMETHEUS / "prometheus.yml").read_text()
    text = re.sub(r"- targets: .*", f"- targets: [{targets}]", text)
    text = re.sub(r"_interval: 15s", "_interval: 1s", text)
    for rules in ("recording.yml", "alerts.yml"):
        text = text.replace(f"- {rules}", f"- {PROMETHEUS / rules}")
    path = folder / "prometheus.yml"
    path.write_text(text)
    return path


@contextmanager
def victoria_metrics(program: str, config: Path) -> Iterator[str]:
    """Run a VictoriaMetrics with the same configuration, of which it takes what it knows."""
    address = free_address()
    command = [
        program,
        f"-promscrape.config={config}",
        "-promscrape.config.strictParse=false",
        f"-storageDataPath={config.parent / 'victoria'}",
        "-search.latencyOffset=0s",
        f"-httpListenAddr={address}",
    ]
    with served_by(command):
        yield f"http://{address}"
