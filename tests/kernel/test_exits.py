"""What a task does after its exit has begun: it closes its files, and frees its memory."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.block_devices import Hanging, frozen, mounted, run
from fakes.proc import state
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

HELD_SECONDS = 0.5
HOLDER = (
    "import os, sys\n"
    "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
    "os.unlink(sys.argv[1])\n"
    "os.write(fd, bytes(1 << 20))\n"
    "print(flush=True)\n"
    "sys.stdin.read()\n"
    "os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)\n"  # begins to write the pages
    "os._exit(0)\n"
)
"""The file is deleted as this process exits, which waits for the pages that are being written."""


@pytest.mark.thorough(but="ring-True")
@pytest.mark.parametrize("scoped", [True, False])
def test_the_time_for_which_an_exit_is_blocked_counts(
    agent: RealAgent, hanging: Hanging, tmp_path: Path, tool: Any, scoped: bool
) -> None:
    run(tool("mkfs.ext4"), "-q", "-F", hanging.device.path)
    with mounted(tool, hanging.device.path, tmp_path / "mounted") as folder:
        command = [sys.executable, "-ISc", HOLDER, str(folder / "file")]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            process.stdout.readline()
            with agent.run(scope={"pid": process.pid} if scoped else "system") as measured:
                with frozen(tool, hanging.below):
                    process.stdin.close()
                    eventually(lambda: state(process.pid) == "D")
                    time.sleep(HELD_SECONDS)
                process.wait()
    blocked = {row["reason"]: row["ms"] for row in measured.evidence["offcpu"]["top_reasons"]}
    assert blocked.get("exit_group", 0) >= 0.9 * 1e3 * HELD_SECONDS, blocked
    assert measured.evidence["exec"]["exits"] >= 1
