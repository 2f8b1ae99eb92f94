"""Real servers that scrape agents: Prometheus and VictoriaMetrics, with this project's files."""

import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from fakes.pages import ROOT
from fakes.waiting import PATIENCE_SECONDS, eventually

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
def prometheus(program: str, config: Path, *options: str) -> Iterator[str]:
    """Run a Prometheus; yield its URL."""
    data = config.parent / "prometheus"
    address = _free_address()
    own = [f"--config.file={config}", f"--storage.tsdb.path={data}"]
    with _serving(
        [program, *own, f"--web.listen-address={address}", *options], address, "/-/ready"
    ):
        yield f"http://{address}"


@contextmanager
def victoria_metrics(program: str, config: Path) -> Iterator[str]:
    """Run a VictoriaMetrics with the same configuration, of which it takes what it knows."""
    data = config.parent / "victoria"
    address = _free_address()
    own = [
        f"-promscrape.config={config}",
        "-promscrape.config.strictParse=false",
        f"-storageDataPath={data}",
        "-search.latencyOffset=0s",
    ]
    with _serving([program, *own, f"-httpListenAddr={address}"], address, "/health"):
        yield f"http://{address}"


def query(url: str, promql: str) -> list[dict[str, Any]]:
    """Return what an instant query finds now; nothing if it is refused or nobody answers."""
    try:
        answer = requests.get(f"{url}/api/v1/query", params={"query": promql})
    except requests.ConnectionError:
        return []
    if not answer.ok:
        return []
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def value(url: str, promql: str) -> float | None:
    """Return the only value that a query finds; None without one."""
    found = query(url, promql)
    return float(found[0]["value"][1]) if len(found) == 1 else None


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def _serving(command: Sequence[str], address: str, ready: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _is_ready(f"http://{address}{ready}") or process.poll() is not None)
        assert process.poll() is None, f"{command[0]} exited with {process.returncode}"
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url).ok
    except requests.ConnectionError:
        return False
