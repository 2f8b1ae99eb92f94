"""Block devices of a test's own: loop devices, file systems on them, zram disks. They need root."""

import contextlib
import fcntl
import mmap
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.needs import lacking
from fakes.waiting import eventually

Tool = Callable[[str], str]
BLOCK = 4096
ZRAM = Path("/sys/class/zram-control")
LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81
"""ioctls of /dev/loop-control (include/uapi/linux/loop.h)."""


@dataclass(frozen=True)
class Device:
    """A block device: its node, and its number as ``major:minor``."""

    path: Path
    number: str

    @property
    def sysfs(self) -> Path:
        return Path("/sys/dev/block") / self.number

    def in_flight(self) -> list[int]:
        """Return the reads and the writes that the driver has."""
        return [int(count) for count in (self.sysfs / "inflight").read_text().split()]


def need_root() -> None:
    if os.getuid() != 0:
        pytest.skip("block devices need root")


def run(*command: object) -> str:
    return subprocess.check_output([str(word) for word in command], text=True).strip()


def image(folder: Path, megabytes: int, name: str = "image") -> Path:
    """Return a sparse file in the folder."""
    file = folder / name
    file.touch()
    os.truncate(file, megabytes << 20)
    return file


@contextlib.contextmanager
def loop_device(tool: Tool, file: Path, *options: str) -> Iterator[Device]:
    """Attach a file to a free loop device."""
    need_root()
    losetup = tool("losetup")
    node = Path(run(losetup, "--show", *options, "-f", file))
    try:
        yield Device(node, (Path("/sys/block") / node.name / "dev").read_text().strip())
    finally:
        run(losetup, "-d", node)


@contextlib.contextmanager
def mounted(tool: Tool, device: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    run(tool("mount"), device, folder)
    try:
        yield folder
    finally:
        # a loop device on a file in it is detached a moment after losetup has returned
        umount = [tool("umount"), str(folder)]
        eventually(lambda: subprocess.run(umount, check=False).returncode == 0)


@contextlib.contextmanager
def frozen(tool: Tool, folder: Path) -> Iterator[None]:
    """Freeze a file system: whatever writes to it waits."""
    run(tool("fsfreeze"), "-f", folder)
    try:
        yield
    finally:
        run(tool("fsfreeze"), "-u", folder)


@dataclass(frozen=True)
class Hanging:
    """A loop device whose writes hang while the file system with its file is frozen."""

    device: Device
    below: Path
    """Where that file system is mounted."""


@contextlib.contextmanager
def hanging_device(tool: Tool, folder: Path) -> Iterator[Hanging]:
    with loop_device(tool, image(folder, 64, "below")) as below:
        run(tool("mkfs.ext4"), "-q", "-F", below.path)
        with mounted(tool, below.path, folder / "below.d") as mount:
            file = mount / "file"
            file.write_bytes(bytes(16 << 20))
            os.sync()
            with loop_device(tool, file) as device:
                yield Hanging(device, mount)


@contextlib.contextmanager
def zram_disk(megabytes: int) -> Iterator[Device]:
    """Add a zram disk. It has no requests: its driver takes bios."""
    need_root()
    if not ZRAM.exists():
        lacking("zram, or its module is not loaded")
    number = (ZRAM / "hot_add").read_text().strip()
    try:
        sysfs = Path(f"/sys/block/zram{number}")
        (sysfs / "disksize").write_text(f"{megabytes}M")
        device = Device(Path(f"/dev/zram{number}"), (sysfs / "dev").read_text().strip())
        _make_node(device)
        yield device
    finally:
        (ZRAM / "hot_remove").write_text(number)


@contextlib.contextmanager
def loop_controller() -> Iterator[int]:
    need_root()
    descriptor = os.open("/dev/loop-control", os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def plug(tool: Tool, controller: int, number: int, file: Path) -> Device:
    """Add the loop device with this number, and attach the file."""
    fcntl.ioctl(controller, LOOP_CTL_ADD, number)
    device = Device(Path(f"/dev/loop{number}"), f"7:{number}")
    _make_node(device)
    run(tool("losetup"), device.path, file)
    return device


def unplug(tool: Tool, controller: int, number: int) -> None:
    """Remove the loop device with this number."""
    run(tool("losetup"), "-d", f"/dev/loop{number}")
    fcntl.ioctl(controller, LOOP_CTL_REMOVE, number)


def _make_node(device: Device) -> None:
    """Make the device's node where nothing (udev, devtmpfs) does."""
    if not device.path.exists():
        major, minor = map(int, device.number.split(":"))
        os.mknod(device.path, 0o600 | 0o060000, os.makedev(major, minor))


class Direct:
    """A device or file opened for direct I/O, in blocks of 4 KiB."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_DIRECT)
        self._buffer = mmap.mmap(-1, BLOCK)
        self._buffer.write(b"ab" * (BLOCK // 2))

    def write(self, blocks: int, first: int = 0) -> int:
        """Write these blocks one by one, and return how many were refused."""
        refused = 0
        for block in range(first, first + blocks):
            try:
                os.pwrite(self._fd, self._buffer, block * BLOCK)
            except OSError:
                refused += 1
        return refused

    def read(self, blocks: int) -> None:
        for block in range(blocks):
            os.preadv(self._fd, [self._buffer], block * BLOCK)

    def __enter__(self) -> "Direct":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._buffer.close()
