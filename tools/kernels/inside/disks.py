"""Disks that lie on other disks: dm and md, for which the kernel has no requests."""

import contextlib
import json
import mmap
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.kernels.inside.agents import agent, in_short, timed_start

MEGABYTES = 32
WRITES = 200
BLOCK = 4096


def run(results: Path) -> list[dict[str, Any]]:
    """Return, of a dm and of an md device, what the evidence says of it and of what it lies on."""
    for module in ("loop", "dm-mod", "raid1"):
        _do("modprobe", module)
    rows = []
    with agent(results / "agent-disks.log") as client:
        for kind, create in KINDS.items():
            with create() as path:
                first = timed_start(client, {"sections": ["biolatency"]})
                written = _write(path)
                evidence = client.post("/stop")
                number = (Path("/sys/class/block") / os.path.realpath(path)[5:] / "dev").read_text()
            (results / f"disks-{kind}.json").write_text(json.dumps(evidence))
            rows.append(
                {
                    "kind": kind,
                    "device": number.strip(),
                    "writes": written,
                    "start_s": first,
                    "devices": evidence.get("biolatency", {}).get("devices", []),
                    "checks": {row["name"]: row["pass"] for row in evidence.get("checks", [])},
                    **in_short(evidence, ["biolatency"]),
                }
            )
    return rows


def _do(*command: str) -> str:
    return subprocess.check_output(command, text=True, stderr=subprocess.STDOUT).strip()


@contextlib.contextmanager
def _loop(name: str) -> Iterator[str]:
    file = Path("/var/tmp") / name
    file.touch()
    os.truncate(file, MEGABYTES << 20)
    node = _do("losetup", "--show", "-f", str(file))
    try:
        yield node
    finally:
        _do("losetup", "-d", node)
        file.unlink()


@contextlib.contextmanager
def _dm() -> Iterator[str]:
    with _loop("below") as below:
        table = f"0 {MEGABYTES << 11} linear {below} 0"
        _do("dmsetup", "create", "linear", "--noudevsync", "--table", table)
        try:
            yield _node("dm-0")
        finally:
            _do("dmsetup", "remove", "--noudevsync", "linear")


@contextlib.contextmanager
def _md() -> Iterator[str]:
    with _loop("one") as one, _loop("other") as other:
        _do(
            *("mdadm", "--create", "/dev/md0", "--run", "--level=1", "--assume-clean"),
            *("--metadata=1.2", "--raid-devices=2", one, other),
        )
        try:
            yield _node("md0")
        finally:
            _do("mdadm", "--stop", "/dev/md0")


KINDS: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {"dm": _dm, "md": _md}


def _node(name: str) -> str:
    """Return a device's node in /dev, which devtmpfs made."""
    path = f"/dev/{name}"
    if not os.path.exists(path):
        raise RuntimeError(f"there is no {path}")
    return path


def _write(path: str) -> int:
    """Write blocks with direct I/O, and return how many."""
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    block = mmap.mmap(-1, BLOCK)
    for number in range(WRITES):
        os.pwrite(fd, block, number * BLOCK)
    os.close(fd)
    return WRITES
