"""No imports after privileges are dropped: the library may be in a private directory."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import requests

from agent.client.interpreter import own_module
from agent.client.spawn import running_agent

IMPORTED = re.compile(r"import time: .*\| +([\w.]+)$", re.MULTILINE)


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "stderr").open("w+") as file:
        yield file


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which every user may have one."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def url(request: pytest.FixtureRequest, folder: Path, stderr: IO[str]) -> Iterator[str]:
    installed = own_module("agent")
    python, *rest = installed.command
    traced = replace(installed, command=(python, "-X", "importtime", *rest))
    options = ["--data-dir", str(folder / "data")] if request.param == "kept" else []
    user = ["--user", "65532"] if options and os.geteuid() == 0 else []
    with running_agent([*options, *user], invocation=traced, stderr=stderr) as agent:
        yield agent.url


def everything(url: str) -> None:
    """Use each route, provoke refusals, and make runs with all kinds of events."""
    labels = {"scenario": "baseline", "impl": "python"}
    while requests.get(f"{url}/status", timeout=30).json()["ebpf"]["available"] is None:
        time.sleep(0.05)
    for options in ({}, {"scope": "caller", "details": ["syscalls", "exec_failures"]}):
        requests.post(f"{url}/start", json=labels | options, timeout=60).raise_for_status()
        subprocess.run(["/bin/true"], check=True)
        subprocess.run(["dd", "if=/dev/zero", "of=/dev/null", "count=20000"], check=True)
        os.sync()
        for kind in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            page = requests.get(f"{url}/metrics", headers={"Accept": kind}, timeout=30)
            page.raise_for_status()
        requests.post(f"{url}/start", json={}, timeout=30)  # refused: a run is in progress
        requests.post(f"{url}/stop", timeout=30).raise_for_status()
    report = {"baseline_ms": 2.0, "optimized_ms": 1.0, "gain_pct": 50.0}
    requests.post(f"{url}/report", json=labels | report, timeout=30).raise_for_status()
    requests.get(f"{url}/evidence", timeout=30).raise_for_status()
    for body in (b"{", b"[]", b'{"scenario": 1}', b"[" * 5000):
        headers = {"Content-Type": "application/json"}
        assert requests.post(f"{url}/start", data=body, headers=headers, timeout=30).status_code
    for route in ("nothing", "runs", "runs?commit=a", "runs/x", "runs/x/hlog"):
        assert requests.get(f"{url}/{route}", timeout=30).status_code in (200, 404)
    for run in requests.get(f"{url}/runs", timeout=30).json().get("runs", []):
        requests.get(f"{url}/runs/{run['run_id']}/hlog", timeout=30).raise_for_status()
    assert requests.get(f"{url}/start", timeout=30).status_code == 405


@pytest.mark.thorough(but="not kept")
@pytest.mark.parametrize("url", ["not kept", "kept"], indirect=True)
def test_nothing_is_imported_once_privileges_are_gone(url: str, stderr: IO[str]) -> None:
    before = len(Path(stderr.name).read_text())

    everything(url)

    assert IMPORTED.findall(Path(stderr.name).read_text()[before:]) == []
