"""The kernel tests that emulation allows."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from tools.kernels.inside import agents

SECONDS = 2100
"""For all of them; a guest's step may take a little longer (``STEP_SECONDS`` of guest.py)."""

REPORT_SECONDS = 120
"""For what an interrupted test undoes, and the report."""

FILES = (
    *("test_exec.py", "test_failed_execs.py", "test_syscalls.py"),
    *("test_scope.py", "test_offcpu.py", "test_details.py"),
)
PYTEST = (
    *("env", "--default-signal=INT"),
    *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
)
"""A shell's job in the background ignores the signal that has pytest end with its report."""
PATIENT = {"CHAINBENCH_COMPILE_DEADLINE": agents.DEADLINE[1]}
"""A setting of every agent that the tests start."""

LEFT_OUT = {
    "test_details.py::test_sampled_and_unsampled_waits_add_up": "it wants more waits a second than "
    "stacks are sampled; an emulated CPU is too slow for that",
}
"""Tests of these files, by the end of their id, with what about emulation they do not survive."""
OTHERS = (
    "The other files of tests/kernel: they compare times that only hold where no host takes the "
    "CPU away, start more agents than an emulated CPU compiles in this time, or need programs and "
    "devices that the guest does not have."
)


def run(results: Path) -> dict[str, Any]:
    """Run the tests, and return how each kind ended, with messages."""
    report = results / "tests.xml"
    command = [
        *PYTEST,
        *("--continue-on-collection-errors", f"--junitxml={report}"),
        *(f"--deselect=tests/kernel/{test}" for test in LEFT_OUT),
        *(f"tests/kernel/{file}" for file in FILES),
    ]
    with (results / "tests.txt").open("w") as printed:
        running = subprocess.Popen(
            command, stdout=printed, stderr=subprocess.STDOUT, env={**os.environ, **PATIENT}
        )
        cut_off = ended(running, SECONDS)
    return outcomes(report, bool(cut_off)) | cut_off


def ended(running: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """Wait for pytest, or interrupt it after that time: its report then has what ran until then.

    Raises `subprocess.TimeoutExpired` if it does not end even so.
    """
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
        running.wait(REPORT_SECONDS)
        return {"cut_off": f"not done after {seconds:.0f} s"}
    return {}


def outcomes(report: Path, cut_off: bool = False) -> dict[str, Any]:
    """Return what a JUnit report says: how many passed, and which failed or were skipped, why.

    ``cut_off``: the last test was interrupted, which the report does not say.
    """
    passed = 0
    failed, skipped = {}, {}
    cases = [*ET.parse(report).getroot().iter("testcase")]
    for case in cases[:-1] if cut_off else cases:
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        left = case.find("skipped")
        if bad is not None:
            failed[name] = bad.get("message", "")[:500]
        elif left is not None:
            skipped[name] = left.get("message", "")[:200]
        else:
            passed += 1
    return {"passed": passed, "failed": failed, "skipped": skipped, "left_out": LEFT_OUT}
