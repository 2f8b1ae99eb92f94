"""Block requests that are in flight at the start of a run, at its stop, or at both."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes import faults
from fakes.block_devices import BLOCK, Device, Hanging, frozen
from fakes.block_evidence import device_row, rows
from fakes.copied_package import Copy
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

WRITER = (
    "import mmap, os, sys\n"
    "input()\n"
    "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DIRECT)\n"
    "os.pwrite(fd, mmap.mmap(-1, 4096), 0)\n"
)


@contextmanager
def writer(device: Device) -> Iterator["subprocess.Popen[str]"]:
    """A process that writes one block when it is sent a line, and ends."""
    command = [sys.executable, "-ES", "-c", WRITER, str(device.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        yield process


def send(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.thorough(but="ring-True")
@pytest.mark.parametrize("scoped", [True, False])
def test_a_request_in_flight_at_the_stop_is_named(
    agent: RealAgent, hanging: Hanging, tool: Any, scoped: bool
) -> None:
    with writer(hanging.device) as process:
        scope = {"pid": process.pid} if scoped else "system"
        with (
            frozen(tool, hanging.below),
            agent.run(scope=scope, sections=["biolatency"]) as measured,
        ):
            send(process)
            eventually(lambda: hanging.device.in_flight() == [0, 1])
            time.sleep(0.2)
    evidence = measured.evidence
    still_open = evidence["biolatency"]["open_at_stop"]
    oldest, count = still_open["oldest"], still_open["count"]
    # in a run of the whole machine, others' requests may be in flight as well
    assert count == 1 or (not scoped and count > 1)
    assert (oldest["device"], oldest["operation"]) == (hanging.device.number, "write")
    assert (oldest["by"], oldest["tid"]) == ("tasks", process.pid)
    assert oldest["command"].startswith("python")
    assert 200 <= oldest["age_ms"] <= 1e3 * evidence["duration_s"]
    assert rows(evidence, hanging.device.number) == []
    assert evidence["completeness"]["streams"]["biolatency"]["in_flight_at_stop"] == count
    in_flight = device_row(evidence, hanging.device.number)["in_flight"]
    assert in_flight["write"] == {
        "at_start": 0,
        "at_stop": 1,
        "older_than_run": 0,
        "older_than_run_at_most": 0,
    }


@pytest.mark.thorough(but="ring-True")
@pytest.mark.parametrize("scoped", [True, False])
def test_a_request_that_is_in_flight_during_the_whole_run_is_counted(
    agent: RealAgent, hanging: Hanging, tool: Any, scoped: bool
) -> None:
    with writer(hanging.device) as process, frozen(tool, hanging.below):
        send(process)
        eventually(lambda: hanging.device.in_flight() == [0, 1])
        scope = {"pid": process.pid} if scoped else "system"
        with agent.run(scope=scope, sections=["biolatency"]) as measured:
            time.sleep(0.2)
    in_flight = device_row(measured.evidence, hanging.device.number)["in_flight"]
    assert in_flight == {
        "write": {
            "at_start": 1,
            "at_stop": 1,
            "older_than_run": 1,
            "older_than_run_at_most": 1,
        }
    }
    still_open = measured.evidence["biolatency"]["open_at_stop"]
    if scoped:
        assert still_open["count"] == 0
        assert not any(still_open["oldest"].values())
    assert still_open["oldest"]["device"] != hanging.device.number
    assert rows(measured.evidence, hanging.device.number) == []


@pytest.mark.thorough(but="ring-True")
@pytest.mark.parametrize("scoped", [True, False])
def test_a_request_from_before_the_run_that_completes_in_it_is_counted(
    agent: RealAgent, hanging: Hanging, tool: Any, scoped: bool
) -> None:
    with writer(hanging.device) as process:
        with frozen(tool, hanging.below):
            send(process)
            eventually(lambda: hanging.device.in_flight() == [0, 1])
            scope = {"pid": process.pid} if scoped else "system"
            agent.start(scope=scope, sections=["biolatency"])
        process.wait()
        evidence = agent.stop()
    (row,) = rows(evidence, hanging.device.number, operation="write", in_flight_at_start=True)
    assert (row["count"], row["bytes"], row["in_histogram"]) == (1, BLOCK, False)
    assert row["by"] == ("unknown" if scoped else "tasks")
    assert evidence["completeness"]["streams"]["biolatency"]["in_flight_at_start"] >= 1
    in_flight = device_row(evidence, hanging.device.number)["in_flight"]["write"]
    assert (in_flight["at_start"], in_flight["at_stop"]) == (1, 0)
    assert (in_flight["older_than_run"], in_flight["older_than_run_at_most"]) == (0, 0)


ATTACHING_SECONDS = 0.5
"""For each of the programs of a run; those at a request's issue and completion are the last."""


@pytest.mark.thorough
def test_a_request_issued_while_a_run_is_attached_was_in_flight_at_its_start(
    copy: Copy, hanging: Hanging, tool: Any
) -> None:
    """Its issue went by before the program was attached, and its completion did not."""
    copy.inject(faults.attaches_slowly, ATTACHING_SECONDS)
    with copy.launched() as agent, writer(hanging.device) as process:
        agent.settle()
        with agent.run(sections=["biolatency"]):
            pass  # its programs are loaded now
        starting = threading.Thread(target=lambda: agent.start(sections=["biolatency"]))
        with frozen(tool, hanging.below):
            starting.start()
            time.sleep(2 * ATTACHING_SECONDS)
            assert starting.is_alive()
            send(process)
            starting.join()
            assert hanging.device.in_flight() == [0, 1]
        process.wait()
        evidence = agent.stop()
    (row,) = rows(evidence, hanging.device.number, operation="write")
    assert (row["count"], row["in_flight_at_start"], row["in_histogram"]) == (1, True, False)
    counts = evidence["completeness"]["streams"]["biolatency"]
    assert counts["in_flight_at_start"] >= 1
    assert counts["unmatched"] == 0
