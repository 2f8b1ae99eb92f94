"""Disks that refuse requests, that have none, or that come and go."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.block_devices import (
    BLOCK,
    Device,
    Direct,
    image,
    loop_controller,
    loop_device,
    mounted,
    plug,
    run,
    unplug,
    zram_disk,
)
from fakes.block_evidence import NEARLY_ALL, device_row, rows, total
from fakes.checks import codes
from fakes.real_agent import RealAgent

from agent.words import Json

BLOCKS = 200


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


@pytest.mark.thorough(but="ring-False")
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
    row = device_row(evidence, device.number)
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
    row = device_row(evidence, device.number)
    assert (row["measured_by"], row["in_diskstats"]["write"]) == (None, BLOCKS)
    assert "check_failed" in codes(evidence)


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
    assert {*device_row(evidence, device.number)["in_diskstats"].values()} == {None}
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
    assert device_row(measured.evidence, device.number)["in_diskstats"]["write"] == 100


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
