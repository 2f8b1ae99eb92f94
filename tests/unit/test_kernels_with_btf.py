"""What is said of a kernel without BTF: what would help, or that the file is hidden."""

import errno
import gzip
import os
from pathlib import Path

import pytest

from agent.streams.shared import kernel_files, kernels_with_btf
from agent.streams.shared.causes import CannotCollect


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a system of which nothing is known yet."""
    monkeypatch.setattr(kernels_with_btf, "CONFIG", tmp_path / "config.gz")
    monkeypatch.setattr(kernels_with_btf, "BOOT", tmp_path)
    monkeypatch.setattr(kernels_with_btf, "OS_RELEASE", (tmp_path / "os-release",))
    return tmp_path


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("ID=debian\nVERSION_ID=10\n", "apt-get install linux-image-"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "since 8.2: dnf upgrade kernel"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "since 20.10"),
        ("ID=arch\n", "pacman"),
    ],
)
def test_the_kernel_that_would_help_is_named(system: Path, release: str, said: str) -> None:
    (system / "os-release").write_text(release)
    assert said in kernels_with_btf.advice_on_missing()
    assert "reboot" in kernels_with_btf.advice_on_missing()


def test_of_an_unknown_system_nothing_is_claimed(system: Path) -> None:
    assert kernels_with_btf.advice_on_missing() == ""
    (system / "os-release").write_text("ID=alpine\n")
    assert kernels_with_btf.advice_on_missing() == ""


@pytest.mark.parametrize("place", ["proc", "boot"])
def test_a_kernel_that_was_built_with_btf_hides_it(system: Path, place: str) -> None:
    (system / "os-release").write_text("ID=debian\n")
    config = b"CONFIG_BPF=y\nCONFIG_DEBUG_INFO_BTF=y\n"
    if place == "proc":
        (system / "config.gz").write_bytes(gzip.compress(config))
    else:
        release = os.uname().release
        (system / f"config-{release}").write_bytes(config)
    assert kernels_with_btf.built_with_btf() is True
    assert "hides the file" in kernels_with_btf.advice_on_missing()
    assert "apt-get" not in kernels_with_btf.advice_on_missing()


def test_a_kernel_that_was_built_without_it(system: Path) -> None:
    (system / "config.gz").write_bytes(gzip.compress(b"# CONFIG_DEBUG_INFO_BTF is not set\n"))
    assert kernels_with_btf.built_with_btf() is False


def test_a_damaged_configuration_is_none(system: Path) -> None:
    (system / "config.gz").write_bytes(gzip.compress(b"CONFIG_DEBUG_INFO_BTF=y\n" * 99)[:30])
    assert kernels_with_btf.built_with_btf() is None


def test_the_reason_has_the_advice(system: Path) -> None:
    (system / "os-release").write_text("ID=fedora\n")
    error = FileNotFoundError(2, "No such file or directory")
    cause = kernel_files.unreadable(str(kernel_files.BTF), error)
    assert cause.code == "no_btf"
    assert cause.message.endswith("on its host).")
    other = kernel_files.unreadable(str(kernel_files.PID_MAX), error)
    assert "reboot" not in other.message


@pytest.mark.parametrize("content", [b"", b"\x7fELF"])
def test_a_kernel_that_was_built_with_it_is_not_to_be_exchanged(
    system: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies over the file: nothing is missing that a mount of sysfs would bring."""
    (system / "config.gz").write_bytes(gzip.compress(b"CONFIG_DEBUG_INFO_BTF=y\n"))
    masked = system / "vmlinux"
    masked.write_bytes(content)
    monkeypatch.setattr(kernel_files, "_code", lambda path: "no_btf")
    with pytest.raises(CannotCollect) as raised:
        kernel_files.check_btf(masked)
    assert "built with it, so unmount what is mounted over the file" in raised.value.message
    assert "mount -t sysfs" not in raised.value.message


def of_no_use(system: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return what is said of a file that something covers, and of one that libbpf cannot parse."""
    (system / "os-release").write_text("ID=debian\n")
    (system / "vmlinux").touch()
    with monkeypatch.context() as patch:
        patch.setattr(kernel_files, "_code", lambda path: "no_btf")
        with pytest.raises(CannotCollect) as covered:
            kernel_files.check_btf(system / "vmlinux")
    return covered.value.message, kernel_files.unparsed("libbpf cannot parse it").message


def test_where_there_is_a_file_the_kernel_has_it(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its configuration is hidden, as containers often do."""
    covered, unparsed = of_no_use(system, monkeypatch)
    assert covered.endswith(
        ". Unmount what is mounted over the file, and in a container mount nothing over it."
    )
    assert "Something else is mounted over the file (findmnt shows it), or libbpf" in unparsed
    for said in (covered, unparsed):
        assert "This kernel was built with it" not in said
        assert "apt-get" not in said


def test_a_file_over_that_of_a_kernel_without_it_is_no_cure(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (system / "config.gz").write_bytes(gzip.compress(b"# CONFIG_DEBUG_INFO_BTF is not set\n"))
    for said in of_no_use(system, monkeypatch):
        assert "linux-image" in said
        assert "nmount" not in said
        assert "libbpf is too old" not in said


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_that_may_not_be_read_is_not_missing(system: Path, number: int) -> None:
    (system / "os-release").write_text("ID=fedora\n")
    cause = kernel_files.unreadable(str(kernel_files.BTF), OSError(number, os.strerror(number)))
    assert "chmod a+r /sys/kernel/btf/vmlinux" in cause.message
    assert "mount -t sysfs" not in cause.message
    assert "reboot" not in cause.message


def test_what_libbpf_cannot_read_is_not_for_lack_of_the_option(system: Path) -> None:
    (system / "config.gz").write_bytes(gzip.compress(b"CONFIG_DEBUG_INFO_BTF=y\n"))
    cause = kernel_files.unparsed("libbpf cannot parse it")
    assert cause.code == "no_btf"
    assert "This kernel was built with it" in cause.message
    assert "libbpf is too old" in cause.message
