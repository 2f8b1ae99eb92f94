"""Requests that complete twice, on file systems of the tests' own.

A write that carries a flush to a disk without FUA completes with its data and once more, empty,
when the flush is done (a commit of ext4's journal is one). /proc/diskstats counts it once.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.block_devices import Device, image, loop_device, mounted, run
from fakes.block_evidence import left_out
from fakes.real_agent import RealAgent

from agent.words import Json

WRITES = 100
FITRIM = 0xC0185879
"""include/uapi/linux/fs.h; takes the first byte, the length and the shortest extent."""
FILE_SYSTEMS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "ext4 without a journal": ("mkfs.ext4", "-q", "-F", "-O", "^has_journal"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}
JOURNALLED = ("ext4", "xfs")


@pytest.fixture(params=FILE_SYSTEMS)
def file_system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(file_system: str, tmp_path: Path, tool: Any) -> Iterator[tuple[Device, Path]]:
    """A new file system on a loop device: the device, and where it is mounted."""
    make, *options = FILE_SYSTEMS[file_system]
    with loop_device(tool, image(tmp_path, 320)) as device:
        run(tool(make), *options, device.path)
        with mounted(tool, device.path, tmp_path / "mounted") as folder:
            yield device, folder


def synced(call: Callable[[int], None]) -> Callable[[Path], None]:
    def work(file: Path) -> None:
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
        for _ in range(WRITES):
            os.write(descriptor, b"x" * 5000)
            call(descriptor)
        os.close(descriptor)

    return work


def written_through(file: Path) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_DSYNC)
    for _ in range(WRITES):
        os.write(descriptor, b"x" * 5000)
    os.close(descriptor)


def discarded(file: Path) -> None:
    """Have the file system discard its free blocks, among them those of files just deleted."""
    for number in range(10):
        written = file.with_name(f"{number}")
        written.write_bytes(b"x" * (1 << 20))
        with written.open("rb") as opened:
            os.fsync(opened.fileno())
        written.unlink()
    os.sync()
    descriptor = os.open(file.parent, os.O_RDONLY)
    fcntl.ioctl(descriptor, FITRIM, struct.pack("=QQQ", 0, (1 << 64) - 1, 0))
    os.close(descriptor)


WORK = {
    "fsync": synced(os.fsync),
    "fdatasync": synced(os.fdatasync),
    "sync": synced(lambda _: os.sync()),
    "O_DSYNC": written_through,
    "discard": discarded,
}


UNSEEN = 0.02
ATTEMPTS = 3
"""Some kernels run no program while certain tasks run: completions that interrupt them go unseen,
of this device or of the disk below it, and the checks report it."""


def measured(agent: RealAgent, work: Callable[[Path], None], folder: Path) -> Json:
    """Return the evidence of a run, the first of three that is complete, if any."""
    for attempt in range(ATTEMPTS):
        os.sync()
        with agent.run(sections=["biolatency"]) as measured_run:
            # a new file each time: there is less to log where an old one is overwritten
            work(folder / f"file{attempt}")
            # nothing is left for the file system to write while the counts are read
            subprocess.run(["sync", "-f", folder], check=True)
        if measured_run.evidence["completeness"]["verdict"] == "complete":
            break
    return measured_run.evidence


def rows(evidence: Json, device: Device, operation: str = "write") -> list[Json]:
    return [
        row
        for row in evidence["biolatency"]["by_operation"]
        if row["device"] == device.number and row["operation"] == operation
    ]


def counts(evidence: Json, device: Device) -> tuple[dict[str, int], dict[str, int]]:
    """Return the device's completed requests by operation: ours, and the kernel's."""
    (row,) = (d for d in evidence["biolatency"]["devices"] if d["device"] == device.number)
    kernel: dict[str, int] = row["in_diskstats"]
    ours = {
        name: sum(row["count"] for row in rows(evidence, device, name) if row["in_diskstats"])
        for name in kernel
    }
    return ours, kernel


@pytest.mark.thorough(but="ring-ext4-fsync")
@pytest.mark.parametrize("how", WORK)
def test_requests_are_those_of_diskstats(
    agent: RealAgent, place: tuple[Device, Path], how: str
) -> None:
    device, folder = place
    evidence = measured(agent, WORK[how], folder)
    assert evidence["completeness"]["verdict"] == "complete", evidence["completeness"]["reasons"]
    ours, kernel = counts(evidence, device)
    assert kernel["write"] >= 10
    assert ours == pytest.approx(kernel, rel=UNSEEN, abs=1)
    if how == "discard":
        assert kernel["discard"] > 0


@pytest.mark.thorough(but="ring-ext4")
@pytest.mark.parametrize("file_system", JOURNALLED, indirect=True)
def test_a_commit_completes_twice_and_is_counted_once(
    agent: RealAgent, place: tuple[Device, Path]
) -> None:
    device, folder = place
    evidence = measured(agent, WORK["fsync"], folder)
    writes = rows(evidence, device)
    data = [row for row in writes if not row["empty"]]
    ends = [row for row in writes if row["empty"]]
    # each commit: its data are not counted by the kernel, but its end is
    assert sum(row["count"] for row in data if not row["in_diskstats"]) >= WRITES // 2
    assert sum(row["count"] for row in ends) >= WRITES // 2
    assert all(row["in_diskstats"] for row in ends)
    assert all(row["bytes"] > 0 for row in data)
    assert all(row["bytes"] == 0 for row in ends)


def overwritten(file: Path) -> None:
    """Overwrite the same blocks: nothing is left for the journal, so the task itself flushes."""
    file.write_bytes(b"x" * 5000)
    os.sync()
    descriptor = os.open(file, os.O_WRONLY)
    for _ in range(WRITES):
        os.pwrite(descriptor, b"y" * 5000, 0)
        os.fdatasync(descriptor)
    os.close(descriptor)


def in_scope(agent: RealAgent, work: Callable[[Path], None], place: tuple[Device, Path]) -> Json:
    """Return the evidence of a run of this process, the first of three in which no flush is missed.

    Nothing in a run with a scope reports such a miss.
    """
    device, folder = place
    for attempt in range(ATTEMPTS):
        os.sync()
        with agent.run(scope={"pid": os.getpid()}, sections=["biolatency"]) as run:
            work(folder / f"file{attempt}")
            subprocess.run(["sync", "-f", folder], check=True)
        ours, kernel = counts(run.evidence, device)
        if ours["flush"] == kernel["flush"]:
            break
    return run.evidence


@pytest.mark.thorough(but="ring-ext4-fsync")
@pytest.mark.parametrize("how", ["fsync", "overwritten"])
def test_in_a_scope_flushes_are_the_kernels_and_all_are_counted(
    agent: RealAgent, place: tuple[Device, Path], how: str
) -> None:
    """Whether the task or the journal's thread asked for them."""
    device, _ = place
    evidence = in_scope(agent, {**WORK, "overwritten": overwritten}[how], place)
    assert evidence["completeness"]["verdict"] == "complete", evidence["completeness"]["reasons"]
    flushes = rows(evidence, device, "flush")
    ours, kernel = counts(evidence, device)
    assert kernel["flush"] >= WRITES / 2
    assert ours["flush"] == pytest.approx(kernel["flush"], rel=UNSEEN, abs=1)
    assert all(row["by"] == "kernel_threads" and not row["in_histogram"] for row in flushes)
    assert all(row["device_ms"] > 0 for row in flushes)
    assert left_out(evidence)["kernel_threads"] >= ours["flush"]
    # what the task itself waits for is its empty write, which takes as long as the flush
    own = [row for row in rows(evidence, device) if row["empty"] and row["by"] == "tasks"]
    if how == "overwritten":
        assert sum(row["count"] for row in own) >= WRITES / 2
        assert left_out(evidence)["without_data"] >= WRITES / 2
