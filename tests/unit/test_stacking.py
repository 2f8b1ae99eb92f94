"""What a disk lies on, by sysfs and by the mount of a loop device's file."""

from pathlib import Path

import pytest

from agent.sections.biolatency.stacking import Stacking

MOUNTS = r"""
22 1 8:2 / / rw - ext4 /dev/sda2 rw
23 22 0:21 / /tmp rw shared:1 - tmpfs tmpfs rw
24 22 0:31 /sub /data rw - btrfs /dev/sdb rw
25 22 0:41 / /var/lib/over\040lay rw - overlay overlay rw
26 22 253:0 / /home rw - xfs /dev/dm-0 rw
27 22 8:16 / /home/deep rw - ext4 /dev/sdb rw
28 22 0:51 / /home/deep rw - nfs4 server:/x rw
29 22 0:6 / /dev rw - devtmpfs devtmpfs rw
""".lstrip()


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A disk with two partitions, a device mapper disk on both, and a loop device."""
    devices, links = tmp_path / "devices", tmp_path / "dev"
    links.mkdir()
    for number, name in {"8:0": "sda", "8:2": "sda/sda2", "8:3": "sda/sda3"}.items():
        node = devices / name
        node.mkdir(parents=True)
        (node / "dev").write_text(f"{number}\n")
        (links / number).symlink_to(node)
    for partition in ("sda2", "sda3"):
        (devices / "sda" / partition / "partition").write_text("1\n")
    (devices / "sda" / "slaves").mkdir()
    (links / "253:0" / "slaves").mkdir(parents=True)
    for partition in ("sda2", "sda3"):
        (links / "253:0" / "slaves" / partition).symlink_to(devices / "sda" / partition)
    (links / "7:0" / "slaves").mkdir(parents=True)
    (links / "7:0" / "loop").mkdir()
    (tmp_path / "mountinfo").write_text(MOUNTS)
    return links


def below(sysfs: Path, device: str) -> tuple[str, ...] | None:
    return Stacking(sysfs, sysfs.parent / "mountinfo").below(device)


def test_components_are_those_that_the_kernel_lists(sysfs: Path) -> None:
    assert below(sysfs, "253:0") == ("8:0",)
    assert below(sysfs, "8:0") == ()


def test_a_disk_that_is_gone_lies_on_nothing(sysfs: Path) -> None:
    assert below(sysfs, "9:9") == ()


def test_a_disk_whose_component_goes_meanwhile_lies_on_nothing(sysfs: Path) -> None:
    (sysfs.parent / "devices/sda/sda3/dev").unlink()
    assert below(sysfs, "253:0") == ()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/images/disk.img", ("8:0",)),
        ("/images/disk.img (deleted)", ("8:0",)),
        ("/tmpfile", ("8:0",)),
        ("/home/disk.img", ("253:0",)),
        ("/tmp/disk.img", None),  # which is not there: nothing says that it is no device
        ("/data/disk.img", None),
        ("/var/lib/over lay/disk.img", None),
        ("/home/deep/disk.img", None),  # mounted over another file system
    ],
)
def test_a_loop_device_lies_on_the_disk_of_its_files_mount(
    sysfs: Path, file: str, expected: tuple[str, ...] | None
) -> None:
    (sysfs / "7:0" / "loop" / "backing_file").write_text(f"{file}\n")
    assert below(sysfs, "7:0") == expected


def test_a_file_in_memory_has_no_disk_below_it(sysfs: Path, tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    file.touch()
    (sysfs.parent / "mountinfo").write_text("1 1 0:21 / / rw - tmpfs tmpfs rw\n")
    (sysfs / "7:0" / "loop" / "backing_file").write_text(f"{file}\n")
    assert below(sysfs, "7:0") == ()


def test_without_mounts_nothing_is_known(sysfs: Path) -> None:
    (sysfs.parent / "mountinfo").unlink()
    (sysfs / "7:0" / "loop" / "backing_file").write_text("/disk.img\n")
    assert below(sysfs, "7:0") is None


def test_a_disk_is_looked_up_once_in_a_run(sysfs: Path) -> None:
    stacking = Stacking(sysfs, sysfs.parent / "mountinfo")
    file = sysfs / "7:0" / "loop" / "backing_file"
    file.write_text("/home/disk.img\n")
    assert stacking.below("7:0") == ("253:0",)
    file.write_text("/images/disk.img\n")
    assert stacking.below("7:0") == ("253:0",)


@pytest.mark.parametrize("content", ["", "8:2\n", "one - two\n", "\n\n"])
def test_a_file_over_the_list_of_mounts_says_nothing(sysfs: Path, content: str) -> None:
    (sysfs / "7:0" / "loop" / "backing_file").write_text("/tmp/image\n")
    (sysfs.parent / "mountinfo").write_text(content)
    assert below(sysfs, "7:0") is None


def test_a_component_whose_number_is_no_text_ends_nothing(sysfs: Path) -> None:
    (sysfs.parent / "devices/sda/dev").write_bytes(b"\xff")
    assert below(sysfs, "253:0") != ()
