"""Disks that lie on other disks, which take the same I/O."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.block_devices import BLOCK, Device, Direct, image, loop_device, mounted, run
from fakes.block_evidence import NEARLY_ALL, device_row, rows, total
from fakes.disks import Disk
from fakes.real_agent import RealAgent

BLOCKS = 200


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
    assert device_row(evidence, stacked.number)["lies_on"] == [disk.device]
    in_histogram = [r for r in evidence["biolatency"]["by_operation"] if r["in_histogram"]]
    assert evidence["biolatency"]["count"] == total(in_histogram)


def test_in_a_scope_the_device_that_the_task_used_counts(
    agent: RealAgent, stacked: Device, disk: Disk
) -> None:
    scope = {"pid": os.getpid()}
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
    assert device_row(measured.evidence, device.number)["lies_on"] is None
    assert all(row["in_histogram"] for row in rows(measured.evidence, device.number, empty=False))
