"""Real Prometheus servers that scrape agents, and what they answer to queries."""

import fcntl
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.ports import HOST, unused_port
from fakes.waiting import PATIENCE_SECONDS, eventually

NATIVE = ("--enable-feature=native-histograms",)
"""Prometheus 2.40 to 2.x ask for Protocol Buffers, and keep native histograms, only with this."""


@contextmanager
def prometheus(
    program: str,
    ports: int | Sequence[int],
    folder: Path,
    *options: str,
    job: Mapping[str, object] | None = None,
    interval: str = "1s",
) -> Iterator[str]:
    """Run a Prometheus that scrapes these ports at an interval; yield its own address.

    ``options`` are of its command line, ``job`` more of the scrape configuration.
    """
    targets = [f"127.0.0.1:{port}" for port in ([ports] if isinstance(ports, int) else ports)]
    scraped = {"job_name": "agent", "static_configs": [{"targets": targets}], **(job or {})}
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps({"global": {"scrape_interval": interval}, "scrape_configs": [scraped]})
    )
    with prometheus_with(program, config, *options) as address:
        yield address


@contextmanager
def prometheus_with(program: str, config: Path, *options: str) -> Iterator[str]:
    """Run a Prometheus with a configuration, whose folder has its data; yield its address."""
    address = free_address()
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address={address}",
        *options,
    ]
    with served_by(command):
        yield f"http://{address}"


def free_address() -> str:
    return f"{HOST}:{unused_port()}"


@contextmanager
def served_by(command: Sequence[str]) -> Iterator[None]:
    """Run a server during the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def query(address: str, promql: str) -> list[dict[str, Any]]:
    """Return the result of an instant query; empty also while the server starts."""
    try:
        answer = requests.get(f"{address}/api/v1/query", params={"query": promql})
    except requests.ConnectionError:
        return []
    if answer.status_code != 200:
        return []
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def until_there(address: str, promql: str) -> list[dict[str, Any]]:
    return eventually(lambda: query(address, promql))


def value(address: str, promql: str) -> float:
    """Return the only value of a query, once there is one."""
    (found,) = until_there(address, promql)
    return float(found["value"][1])


def scrapes(address: str) -> float:
    """Return how many scrapes there have been; 0 while there was none."""
    found = query(address, "sum(count_over_time(up[1h]))")
    return float(found[0]["value"][1]) if found else 0.0


def after_another_scrape(address: str, targets: int = 1) -> None:
    """Wait until everything has been scraped that is on the pages now."""
    before = scrapes(address)
    # one that had begun may be counted as well
    eventually(lambda: scrapes(address) >= before + 2 * targets)


@functools.cache
def prometheus_of_debian_13() -> str:
    """Return the program of Debian 13's package, which is fetched and unpacked once.

    Skips the test where that is not possible.
    """
    folder = _cache()
    program = folder / "unpacked/usr/bin/prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run beside this one fetch it, too
        if not program.exists():
            try:
                _fetch(folder)
            except (OSError, subprocess.SubprocessError) as error:
                pytest.skip(f"Debian 13's Prometheus cannot be fetched: {error}")
    return str(program)


def _cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".cache"
    return base / "chainbench-agent" / "prometheus-debian-13"


def _fetch(folder: Path) -> None:
    """Download with an apt of its own, which leaves the machine's alone."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (folder / "sources.list").write_text(
        f"deb [signed-by={keyring}] http://deb.debian.org/debian trixie main\n"
    )
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, text in settings.items() for word in ("-o", f"{key}={text}")]
    run = functools.partial(subprocess.run, check=True, capture_output=True, cwd=folder)
    run(["apt-get", *options, "update", "-qq"], timeout=300)
    run(["apt-get", *options, "download", "-qq", "prometheus"], timeout=300)
    (package,) = folder.glob("prometheus_*.deb")
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    run(["dpkg-deb", "-x", package, partial], timeout=300)
    partial.rename(folder / "unpacked")
    package.unlink()
