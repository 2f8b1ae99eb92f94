"""The kernel tests that emulation allows."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

SECONDS = 2100
"""For all of them; a guest's step may take a little longer (``STEP_SECONDS`` of guest.py)."""

FILES = (
    *("test_exec.py", "test_failed_execs.py", "test_syscalls.py"),
    *("test_scope.py", "test_offcpu.py", "test_details.py"),
)
LEFT_OUT: dict[str, str] = {}
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
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("--continue-on-collection-errors", f"--junitxml={report}"),
        *(f"--deselect=tests/kernel/{test}" for test in LEFT_OUT),
        *(f"tests/kernel/{file}" for file in FILES),
    ]
    with (results / "tests.txt").open("w") as printed:
        try:
            subprocess.run(
                command, stdout=printed, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {SECONDS} s"}
    return outcomes(report)


def outcomes(report: Path) -> dict[str, Any]:
    """Return what a JUnit report says: how many passed, and which failed or were skipped, why."""
    passed = 0
    failed, skipped = {}, {}
    for case in ET.parse(report).getroot().iter("testcase"):
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
