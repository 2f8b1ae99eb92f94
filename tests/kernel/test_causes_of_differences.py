"""Pairs of programs of which one does a known thing for longer: the result names that, or none."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.disks import Disk
from fakes.real_agent import RealAgent
from fakes.series import series

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

PROGRAM = f"{sys.executable} -S {Path(__file__).parent / 'programs/one_cause.py'}"
PAIRS = 10


def compared(agent: RealAgent, file: Path, before: str, after: str) -> tuple[dict[str, Any], str]:
    options = ["--baseline", before, "--optimized", after, "--runs", PAIRS]
    done = series(agent.url, file, *options)
    assert done.status == 0, done.said
    cause: dict[str, Any] = done.saved["comparison"]["cause"]
    return cause, " ".join(re.sub(r"\n\n.*", "", done.said, flags=re.DOTALL).split())


@contextlib.contextmanager
def spinning(cpu: int) -> Iterator[None]:
    """Keep a CPU busy with a process that no run is about, in the session of the commands."""
    words = ["taskset", "-c", str(cpu), sys.executable, "-S", "-c", "while True: pass"]
    with subprocess.Popen(words) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.thorough
def test_sleeping_is_named_in_the_first_sentence(agent: RealAgent, tmp_path: Path) -> None:
    cause, said = compared(agent, tmp_path / "x", f"{PROGRAM} sleep 20", f"{PROGRAM} sleep 320")
    assert cause["name"] == "sleeping", said
    assert cause["part_ms"] == pytest.approx(300, rel=0.1)
    assert "by longer sleep (blocked in clock_nanosleep" in said


@pytest.mark.thorough
def test_more_computing(agent: RealAgent, tmp_path: Path) -> None:
    cause, said = compared(agent, tmp_path / "x", f"{PROGRAM} compute 20", f"{PROGRAM} compute 420")
    # on a machine that others load, most of the difference may be waiting for a CPU: then none
    assert cause["name"] == "more computing" or cause["part"] == "for a busy CPU", said
    assert cause["name"] in ("more computing", None), said


@pytest.mark.thorough
def test_more_syncs(agent: RealAgent, disk: Disk, tmp_path: Path) -> None:
    line = f"{PROGRAM} sync {{}} {tmp_path / 'synced'}"
    cause, said = compared(agent, tmp_path / "x", line.format(3), line.format(600))
    # on a machine that others load, most of the difference may be waiting for a CPU: then none
    named = cause["name"] == "more syncs" and cause["part"] == "blocked: fsync"
    assert named or (cause["name"] is None and cause["part"] != "blocked: fsync"), said


@pytest.mark.thorough
def test_lock_contention(agent: RealAgent, tmp_path: Path) -> None:
    cause, said = compared(agent, tmp_path / "x", f"{PROGRAM} lock 2", f"{PROGRAM} lock 1")
    assert cause["name"] == "lock contention", said


@pytest.mark.thorough
def test_competition_for_the_cpu(agent: RealAgent, tmp_path: Path) -> None:
    # another CPU may have as much competition: the machine is shared
    pinned = f"taskset -c 1 {PROGRAM} compute 30"
    with spinning(1):
        cause, said = compared(agent, tmp_path / "x", pinned, f"nice -n 10 {pinned}")
    assert cause["name"] == "competition for the CPU", said
    assert "waiting for a CPU that others had" in said


@pytest.mark.thorough
def test_equal_commands_have_no_cause(agent: RealAgent, tmp_path: Path) -> None:
    cause, said = compared(agent, tmp_path / "x", f"{PROGRAM} sleep 30", f"{PROGRAM} sleep 30")
    assert cause["name"] is None, said
