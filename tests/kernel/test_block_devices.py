"""Errors, requests that stay in flight, and devices that are not simply disks."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.block_devices import (
    BLOCK,
    Device,
    Direct,
    frozen,
    image,
    loop_controller,
    loop_device,
    mounted,
    plug,
    run,
    unplug,
    zram_disk,
)
from fakes.copied_package import Copy
from fakes.disks import Disk
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

from agent.model import Json

BLOCKS = 200
NEARLY_ALL = 0.98
"""Fraction of the I/O that must be seen. Some kernels run no program while certain tasks run."""


def rows(evidence: Json, device: str, **wanted: Any) -> list[Json]:
    return [
        row
        for row in evidence["biolatency"]["by_operation"]
        if row["device"] == device and wanted.items() <= row.items()
    ]


def total(found: list[Json]) -> int:
    return sum(row["count"] for row in found)


def device_row(evidence: Json, device: Device) -> Json:
    (row,) = (d for d in evidence["biolatency"]["devices"] if d["device"] == device.number)
    assert isinstance(row, dict)
    return row


def scope_of_this_process() -> Json:
    return {"pid": os.getpid()}


# --- errors


@pytest.fixture
def full(tmp_path: Path, tool: Any) -> Iterator[Device]:
    """A loop device on a sparse file, in a file system that has no room for all of it."""
    with loop_device(tool, image(tmp_path, 16, "small")) as small:
        run(tool("mkfs.ext4"), "-q", "-F", "-m", "0", small.path)
        with (
            mounted(tool, small.path, tmp_path / "small.d") as folder,
            loop_device(tool, image(folder, 64, "large")) as device,
        ):
            yield device


@pytest.mark.parametrize("scoped", [True, False])
def test_writes_that_the_device_refuses_are_apart(
    agent: RealAgent, full: Device, scoped: bool
) -> None:
    scope = scope_of_this_process() if scoped else "system"
    with Direct(full.path) as direct, agent.run(scope=scope, sections=["biolatency"]) as measured:
        refused = direct.write(8_000)
        # direct I/O to the loop device, so the file system's room shows at once
        os.sync()
    evidence = measured.evidence
    failed = [row for row in rows(evidence, full.number, operation="write") if row["error"]]
    written = rows(evidence, full.number, operation="write", error=None, empty=False)
    assert refused > 1_000
    assert total(failed) == pytest.approx(refused, rel=1 - NEARLY_ALL)
    assert all(row["bytes"] == 0 and not row["in_histogram"] for row in failed)
    assert {row["error"] for row in failed} <= {"EIO", "ENOSPC"}
    assert total(written) == pytest.approx(8_000 - refused, rel=1 - NEARLY_ALL)
    assert all(row["bytes"] == BLOCK * row["count"] for row in written)
    in_histogram = [r for r in evidence["biolatency"]["by_operation"] if r["in_histogram"]]
    assert evidence["biolatency"]["count"] == total(in_histogram)
    assert evidence["completeness"]["verdict"] == "complete", evidence["completeness"]["reasons"]


# --- requests that stay in flight


@dataclass(frozen=True)
class Hanging:
    device: Device
    below: Path
    """Where the file system is mounted that the device's file is in."""


@pytest.fixture
def hanging(tmp_path: Path, tool: Any) -> Iterator[Hanging]:
    """A loop device in a file system that a test can freeze: then its writes hang."""
    with loop_device(tool, image(tmp_path, 64, "below")) as below:
        run(tool("mkfs.ext4"), "-q", "-F", below.path)
        with mounted(tool, below.path, tmp_path / "below.d") as folder:
            file = folder / "file"
            file.write_bytes(bytes(16 << 20))
            os.sync()
            with loop_device(tool, file) as device:
                yield Hanging(device, folder)


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
    oldest = evidence["biolatency"]["open_at_stop"]["oldest"]
    assert evidence["biolatency"]["open_at_stop"]["count"] == 1
    assert (oldest["device"], oldest["operation"]) == (hanging.device.number, "write")
    assert (oldest["by"], oldest["tid"]) == ("tasks", process.pid)
    assert oldest["command"].startswith("python")
    assert 200 <= oldest["age_ms"] <= 1e3 * evidence["duration_s"]
    assert rows(evidence, hanging.device.number) == []
    assert evidence["completeness"]["streams"]["biolatency"]["in_flight_at_stop"] == 1
    in_flight = device_row(evidence, hanging.device)["in_flight"]
    assert in_flight["write"] == {
        "at_start": 0,
        "at_stop": 1,
        "older_than_run": 0,
        "older_than_run_at_most": 0,
    }


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
    in_flight = device_row(measured.evidence, hanging.device)["in_flight"]
    assert in_flight == {
        "write": {
            "at_start": 1,
            "at_stop": 1,
            "older_than_run": 1,
            "older_than_run_at_most": 1,
        }
    }
    assert measured.evidence["biolatency"]["open_at_stop"]["count"] == 0
    assert not any(measured.evidence["biolatency"]["open_at_stop"]["oldest"].values())
    assert rows(measured.evidence, hanging.device.number) == []


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
    in_flight = device_row(evidence, hanging.device)["in_flight"]["write"]
    assert (in_flight["at_start"], in_flight["at_stop"]) == (1, 0)
    assert (in_flight["older_than_run"], in_flight["older_than_run_at_most"]) == (0, 0)


ATTACHING_SECONDS = 0.5
"""For each of the programs of a run; those at a request's issue and completion are the last."""


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


# --- devices without requests


@pytest.mark.parametrize("scoped", [True, False])
def test_bios_are_measured_where_there_are_no_requests(agent: RealAgent, scoped: bool) -> None:
    scope = scope_of_this_process() if scoped else "system"
    with (
        zram_disk(16) as device,
        Direct(device.path) as direct,
        agent.run(scope=scope, sections=["biolatency"]) as measured,
    ):
        direct.write(BLOCKS)
        direct.read(BLOCKS)
    evidence = measured.evidence
    for operation in ("read", "write"):
        found = rows(evidence, device.number, operation=operation)
        assert total(found) == BLOCKS
        assert sum(row["bytes"] for row in found) == BLOCKS * BLOCK
        assert all(row["in_histogram"] and row["by"] == "tasks" for row in found)
        assert all(row["device_ms"] > 0 and row["queue_ms"] == 0 for row in found)
    row = device_row(evidence, device)
    assert (row["measured_by"], row["lies_on"]) == ("bios", [])
    assert row["in_diskstats"] == {"read": BLOCKS, "write": BLOCKS, "discard": 0, "flush": 0}
    assert evidence["biolatency"]["count"] >= 2 * BLOCKS
    assert evidence["completeness"]["streams"]["bios"]["produced"] == 2 * BLOCKS
    assert evidence["manifest"]["details"]["bios"]
    assert evidence["completeness"]["verdict"] == "complete", evidence["completeness"]["reasons"]


def test_a_disk_without_requests_that_nothing_measures_is_reported(agent: RealAgent) -> None:
    """It was added during the run, so no program looks at its bios."""
    agent.start(sections=["biolatency"])
    with zram_disk(16) as device, Direct(device.path) as direct:
        direct.write(BLOCKS)
        evidence = agent.stop()
    assert rows(evidence, device.number) == []
    row = device_row(evidence, device)
    assert (row["measured_by"], row["in_diskstats"]["write"]) == (None, BLOCKS)
    assert "check_failed" in {r.partition(":")[0] for r in evidence["completeness"]["reasons"]}


# --- devices on devices


@pytest.fixture
def stacked(disk: Disk, tool: Any) -> Iterator[Device]:
    """A loop device on a file of the disk, which sees each of its requests again."""
    file = disk.folder / "stacked"
    file.write_bytes(bytes(BLOCKS * BLOCK))
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    try:
        with loop_device(tool, file, "--direct-io=on") as device:
            with Direct(device.path) as direct:
                direct.write(BLOCKS)  # so that the file's blocks are allocated
            yield device
    finally:
        file.unlink()


def test_for_the_whole_machine_the_lowest_device_counts(
    agent: RealAgent, stacked: Device, disk: Disk
) -> None:
    with Direct(stacked.path) as direct, agent.run(sections=["biolatency"]) as measured:
        direct.write(BLOCKS)
    evidence = measured.evidence
    above = rows(evidence, stacked.number, operation="write", empty=False)
    below = rows(evidence, disk.device, operation="write", in_histogram=True)
    assert total(above) == pytest.approx(BLOCKS, rel=1 - NEARLY_ALL)
    assert not any(row["in_histogram"] for row in above)
    assert total(below) >= NEARLY_ALL * BLOCKS
    assert device_row(evidence, stacked)["lies_on"] == [disk.device]
    in_histogram = [r for r in evidence["biolatency"]["by_operation"] if r["in_histogram"]]
    assert evidence["biolatency"]["count"] == total(in_histogram)


def test_in_a_scope_the_device_that_the_task_used_counts(
    agent: RealAgent, stacked: Device, disk: Disk
) -> None:
    scope = scope_of_this_process()
    with (
        Direct(stacked.path) as direct,
        agent.run(scope=scope, sections=["biolatency"]) as measured,
    ):
        direct.write(BLOCKS)
    found = rows(measured.evidence, stacked.number, operation="write", in_histogram=True)
    assert total(found) == pytest.approx(BLOCKS, rel=1 - NEARLY_ALL)
    assert measured.evidence["biolatency"]["count"] == total(found)
    below = rows(measured.evidence, disk.device, by="kernel_threads")
    assert not any(row["in_histogram"] for row in below)


def test_what_a_loop_device_on_btrfs_lies_on_is_not_known(
    agent: RealAgent, tmp_path: Path, tool: Any
) -> None:
    with loop_device(tool, image(tmp_path, 128, "btrfs")) as below:
        run(tool("mkfs.btrfs"), "-q", "-f", below.path)
        with (
            mounted(tool, below.path, tmp_path / "btrfs.d") as folder,
            loop_device(tool, image(folder, 16, "file")) as device,
            Direct(device.path) as direct,
            agent.run(sections=["biolatency"]) as measured,
        ):
            direct.write(BLOCKS)
    assert device_row(measured.evidence, device)["lies_on"] is None
    assert all(row["in_histogram"] for row in rows(measured.evidence, device.number, empty=False))


# --- disks that come and go


UNPLUGGED = 50
"""Number of a loop device that nobody else uses."""


def test_a_disk_that_is_replugged_is_not_compared(
    agent: RealAgent, tmp_path: Path, tool: Any
) -> None:
    """The kernel counts anew, under the same number: its figures went from 1,000 to 30."""
    file = image(tmp_path, 8)
    with loop_controller() as controller:
        device = plug(tool, controller, UNPLUGGED, file)
        try:
            with Direct(device.path) as direct:
                direct.write(1_000)
            with agent.run(sections=["biolatency"]) as measured:
                with Direct(device.path) as direct:
                    direct.write(20)
                unplug(tool, controller, UNPLUGGED)
                plug(tool, controller, UNPLUGGED, file)
                with Direct(device.path) as direct:
                    direct.write(30)
        finally:
            unplug(tool, controller, UNPLUGGED)
    evidence = measured.evidence
    assert total(rows(evidence, device.number, operation="write", empty=False)) == 50
    assert {*device_row(evidence, device)["in_diskstats"].values()} == {None}
    assert not [c for c in evidence["checks"] if c["name"].endswith(device.number)]
    assert evidence["completeness"]["verdict"] == "complete", evidence["completeness"]["reasons"]


def test_a_disk_that_is_plugged_in_during_the_run_counts_from_there(
    agent: RealAgent, tmp_path: Path, tool: Any
) -> None:
    file = image(tmp_path, 8)
    with loop_controller() as controller:
        try:
            with agent.run(sections=["biolatency"]) as measured:
                device = plug(tool, controller, UNPLUGGED, file)
                with Direct(device.path) as direct:
                    direct.write(100)
        finally:
            unplug(tool, controller, UNPLUGGED)
    assert total(rows(measured.evidence, device.number, operation="write", empty=False)) == 100
    assert device_row(measured.evidence, device)["in_diskstats"]["write"] == 100


def test_a_disk_whose_statistics_are_off_is_no_false_alarm(
    agent: RealAgent, tmp_path: Path, tool: Any
) -> None:
    with loop_device(tool, image(tmp_path, 8)) as device:
        (device.sysfs / "queue" / "iostats").write_text("0")
        with Direct(device.path) as direct, agent.run(sections=["biolatency"]) as measured:
            direct.write(BLOCKS)
        (device.sysfs / "queue" / "iostats").write_text("1")
    found = rows(measured.evidence, device.number, operation="write", empty=False)
    assert total(found) == pytest.approx(BLOCKS, rel=1 - NEARLY_ALL)
    assert not any(row["in_diskstats"] for row in found)
    verdict = measured.evidence["completeness"]
    assert verdict["verdict"] == "complete", verdict["reasons"]
