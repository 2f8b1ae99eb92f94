"""The service's unit: rated by systemd, and enough under the restrictions that it imposes."""

import argparse
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import unit_files
from fakes.pages import ROOT
from fakes.processes import launched, status_field
from fakes.waiting import PATIENCE_SECONDS

from agent.cli import layers, serve
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SECTIONS

UNITS = ROOT / "deploy/systemd"
SERVICE = UNITS / "chainbench-agent.service"
MOST_EXPOSED = 25
"""Of 100: "2.5" in what systemd-analyze prints."""
DATA = "/var/lib/chainbench-agent"
HOMES = ("/root", "/home", "/run/user")


@pytest.fixture
def service() -> unit_files.Settings:
    return unit_files.settings(SERVICE, "Service")


@pytest.fixture
def restricted(service: unit_files.Settings, tool: Callable[[str], str]) -> list[str]:
    """A command that runs another one under the restrictions of the unit."""
    tool("systemd-analyze")
    if any(Path(sys.base_prefix).is_relative_to(home) for home in HOMES):
        pytest.skip(f"the interpreter is in {sys.base_prefix}, which ProtectHome= hides")
    return unit_files.prefix(service)


def inside(restricted: list[str], script: str) -> str:
    """Run a Python script under the restrictions; return what it prints."""
    python = unit_files.installed().command[0]
    command = [*restricted, python, "-I", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.parametrize("added", ["", "[Service]\nCPUSchedulingPolicy=rr\n"], ids=["", "rr"])
def test_systemd_rates_it(tool: Callable[[str], str], tmp_path: Path, added: str) -> None:
    unit = tmp_path / SERVICE.name
    unit.write_text(f"{SERVICE.read_text()}\n{added}")
    command = [tool("systemd-analyze"), "--no-pager", "security", "--offline=true"]
    rated = subprocess.run(
        [*command, f"--threshold={MOST_EXPOSED}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Overall exposure level for chainbench-agent.service" in rated.stdout, rated.stderr
    assert rated.returncode == 0, rated.stdout


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.s*e*")), ids=lambda path: path.name)
def test_systemd_knows_every_setting(
    tool: Callable[[str], str], tmp_path: Path, unit: Path
) -> None:
    if unit.suffix == ".sysusers":
        return
    copy = tmp_path / unit.name
    text = SERVICE.read_text() if unit.suffix == ".socket" else unit.read_text()
    (tmp_path / SERVICE.name).write_text(
        text.replace(unit_files.settings(SERVICE, "Service")["ExecStart"][0], "/bin/true")
    )
    if unit.suffix == ".socket":
        copy.write_text(unit.read_text())
    said = subprocess.run(
        [tool("systemd-analyze"), "--no-pager", "verify", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    ).stderr
    assert unit.name not in said, said


def test_its_settings_are_settings(service: unit_files.Settings) -> None:
    parser = argparse.ArgumentParser()
    serve.add_options(parser)
    variables = {layers._variable(layers._name(action)) for action in layers._options(parser)}
    assert {setting.partition("=")[0] for setting in service["Environment"]} <= variables
    parser.parse_args(shlex.split(service["ExecStart"][0])[1:])


def test_under_its_restrictions_it_collects(tmp_path: Path, restricted: list[str]) -> None:
    with launched(
        tmp_path / "log",
        *("--data-dir", DATA, "--socket", "/run/chainbench-agent/agent.sock"),
        before=restricted,
        invocation=unit_files.installed(),
    ) as agent:
        assert int(status_field(agent.supervisor, "CapEff"), 16).bit_count() == 2
        assert status_field(agent.supervisor, "Seccomp:") == "2"
        with agent.run() as run:
            subprocess.run(["true"], check=True)
        assert run.started["armed"] == list(DEFAULT_SECTIONS)
        assert run.evidence["completeness"]["verdict"] == "complete", run.evidence["completeness"]
        assert run.evidence["runqlat"]["count"] > 0
        [kept] = agent.get("/runs")["runs"]
        assert kept["run_id"] == run.started["run_id"]


@pytest.mark.thorough
def test_under_its_restrictions_it_says_that_it_serves(
    tmp_path: Path, restricted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit waits for that (Type=notify)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0chainbench-test-unit-{os.getpid()}")
        manager.settimeout(PATIENCE_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@chainbench-test-unit-{os.getpid()}")
        with launched(tmp_path / "log", before=restricted, invocation=unit_files.installed()):
            assert b"READY=1" in manager.recv(1000)


@pytest.mark.thorough
def test_with_real_time_scheduling_it_collects(
    tmp_path: Path, restricted: list[str], tool: Callable[[str], str]
) -> None:
    """As with CPUSchedulingPolicy=rr in a drop-in; every process and thread keeps it."""
    before = [tool("chrt"), "--rr", "1", *restricted]
    with launched(tmp_path / "log", before=before, invocation=unit_files.installed()) as agent:
        with agent.run() as run:
            subprocess.run(["true"], check=True)
        assert {os.sched_getscheduler(pid) for pid in (agent.supervisor, agent.pid)} == {
            os.SCHED_RR
        }
        assert run.evidence["completeness"]["verdict"] == "complete"


@pytest.mark.thorough
@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_under_its_restrictions_every_section_and_detail_works(
    tmp_path: Path, restricted: list[str], transport: str
) -> None:
    everything = {"sections": list(SECTIONS), "details": list(DETAILS)}
    with launched(
        tmp_path / "log",
        *("--transport", transport),
        before=restricted,
        invocation=unit_files.installed(),
    ) as agent:
        started = agent.start(scope={"pid": os.getpid()}, measure_probes=True, **everything)
        evidence = agent.stop()
        assert started["armed"] == list(SECTIONS)
        # what it takes for that is in a comment of the unit
        assert set(evidence.get("unavailable", {})) == {"wait_functions"}
        assert evidence["wall"]["available"]


@pytest.mark.parametrize(
    ("script", "refused"),
    [
        ("import socket; socket.socket(socket.AF_PACKET)", "Address family not supported"),
        (
            "import ctypes; c = ctypes.CDLL(None, use_errno=True); assert not c.unshare(0x20000)"
            " or (_ for _ in ()).throw(OSError(ctypes.get_errno(), 'x'))",
            "Errno 1",
        ),
        ("open('/usr/x', 'w')", "Read-only file system"),
        ("open('/proc/sys/kernel/pid_max', 'w')", "Errno"),
        ("open('/root/x')", "Permission denied"),
        ("import os; os.setuid(0)", "Operation not permitted"),
        ("import mmap; mmap.mmap(-1, 4096, prot=7)", "Permission denied"),
        ("open('/proc/kallsyms')", "Permission denied"),
    ],
)
def test_the_restrictions_are_in_force(restricted: list[str], script: str, refused: str) -> None:
    """What the tests above pass under is what it is meant to be."""
    tried = f"try:\n    exec({script!r})\nexcept OSError as error:\n    print(error)"
    assert refused in inside(restricted, tried)
