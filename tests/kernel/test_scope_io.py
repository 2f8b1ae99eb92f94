"""Block I/O of a scope: whose it is, whoever issues it."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from fakes.block_evidence import unseen_at_most
from fakes.disks import Disk
from fakes.marks import busy
from fakes.needs import needs_io_uring
from fakes.program import program
from fakes.real_agent import RealAgent


def rows_by(evidence: Any, owner: str) -> int:
    rows = evidence["biolatency"]["by_operation"]
    return sum(row["count"] for row in rows if row["by"] == owner and row["operation"] == "write")


def test_io_belongs_to_whoever_issued_it(agent: RealAgent, disk: Disk) -> None:
    file = disk.folder / "written"
    file.write_bytes(b"." * 4096 * 50)
    subprocess.run(["sync", file], check=True)
    write = {"how": "direct", "path": str(file), "count": 50}
    with (
        program("disk") as writer,
        busy(disk.folder / "noise") as noise,
        agent.run(scope=writer.scope) as run,
    ):
        writer.work(json.dumps(write))
    file.unlink()
    written = rows_by(run.evidence, "tasks")
    assert 50 - unseen_at_most(run.evidence) <= written == run.evidence["biolatency"]["count"] <= 50
    assert noise["writes"] > 0


@pytest.mark.thorough
@needs_io_uring
@pytest.mark.parametrize("options", [{}, {"sections": ["biolatency"]}, {"timing": "accounting"}])
def test_what_its_io_uring_workers_issue_is_a_programs_own(
    agent: RealAgent, disk: Disk, tool: Callable[[str], str], options: dict[str, Any]
) -> None:
    """The workers are threads of the program, created by the kernel."""
    file, result = disk.folder / "ring", disk.folder / "ring.json"
    file.write_bytes(b"." * 4096 * 256)
    subprocess.run(["sync", file], check=True)
    job = ("--name=reads", f"--filename={file}", "--size=1M", "--bs=4k", "--rw=randread")
    how = ("--ioengine=io_uring", "--iodepth=4", "--direct=1", "--force_async=1", "--thread")
    output = (f"--output={result}", "--output-format=json")
    with (
        program("launch", tool("fio"), *job, *how, *output) as fio,
        agent.run(scope=fio.scope, **options) as run,
    ):
        fio.work()
        assert fio.hear()["status"] == 0
    made = json.loads(result.read_text())["jobs"][0]["read"]["total_ios"]
    file.unlink()
    result.unlink()
    rows = run.evidence["biolatency"]["by_operation"]
    reads = sum(row["count"] for row in rows if row["operation"] == "read" and row["by"] == "tasks")
    assert made == 256
    # the fio binary itself may have to be read from the disk, too
    assert reads >= made - unseen_at_most(run.evidence), run.evidence["biolatency"]
    if "offcpu" in run.evidence:
        assert "io_worker" in {row["reason"] for row in run.evidence["offcpu"]["top_reasons"]}


def test_write_back_stands_apart(agent: RealAgent, disk: Disk) -> None:
    file = disk.folder / "written"
    file.write_bytes(b"." * 4096 * 500)
    # otherwise the writer's own sync(2) would also write what others changed in the file system:
    # metadata is written by the task that calls sync(2) (2.7 MB once)
    os.sync()
    write = {"how": "left_to_the_kernel", "path": str(file), "count": 500}
    with program("disk") as writer, agent.run(scope=writer.scope) as run:
        writer.work(json.dumps(write))
    file.unlink()
    written = sum(
        row["bytes"]
        for row in run.evidence["biolatency"]["by_operation"]
        if row["by"] == "kernel_threads"
    )
    assert written >= 4096 * 500
    own = [
        row
        for row in run.evidence["biolatency"]["by_operation"]
        if row["by"] == "tasks" and not row["empty"]
    ]
    assert sum(row["count"] for row in own) == run.evidence["biolatency"]["count"]
    assert sum(row["bytes"] for row in own) < 4096 * 500
