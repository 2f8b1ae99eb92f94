"""Files of /proc that are read of the machine and of tasks: other content ends no run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent import small_files
from agent.procfs import files, group, machine, task
from agent.procfs.files import Unreadable
from agent.run import held, processes
from agent.streams.shared import callers, control_groups, kernel_counts, kernel_files, limits
from agent.streams.shared.causes import CannotCollect

DIGITS = b"9" * 5000
"""More than int() takes."""


@pytest.fixture
def covered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that is read in place of any of /proc."""
    file = tmp_path / "covered"

    def opened(path: object, *mode: str, **options: object) -> object:
        return file.open(*mode, **options)  # type: ignore[call-overload]

    for module in (files, processes, held):
        monkeypatch.setattr(module, "open", opened, raising=False)
    monkeypatch.setattr(small_files, "read", lambda path: file.read_bytes())
    return file


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (machine._stat, b"ctxt x\ncpu 1 2 3\n"),
        (machine._stat, b"ctxt 1\ncpu " + DIGITS + b" 1 2 3 4 5 6 7 8\n"),
        (machine._waits, b"cpu0 a b c d e f g h i\n"),
        (lambda: task.read_process(1), b"some words\n"),
        (lambda: task.read_process(1), b"1 (x) S 1 2 3\n"),
        (lambda: task.read_process(1), b"1 (x) S " + b"1 " * 10 + DIGITS + b" 1" * 40 + b"\n"),
        (lambda: task.read_thread("/proc/1/task/1", with_waits=True), b"1\n"),
        (lambda: task.uids_of(1), b"Uid:\tx y z\n"),
        (lambda: group._disks("/io.stat"), b"8:0 rios=x\n"),
        (lambda: files.numbers_in("/children"), b"1 two " + DIGITS),
    ],
)
def test_it_is_named(covered: Path, read: Callable[[], object], content: bytes) -> None:
    covered.write_bytes(content)
    with pytest.raises(Unreadable, match="something else than the kernel writes"):
        read()


def test_what_is_no_count_is_none(covered: Path) -> None:
    covered.write_bytes(b"pgfault " + DIGITS + b"\npgmajfault 7\n")
    assert machine._faults() == {"major_faults": 7}
    covered.write_bytes(b"some total=" + DIGITS + b"\nfull total=5\n")
    assert files.pressure("/proc/pressure/io", "io") == {"io.full_ms": 5000}
    covered.write_bytes(b"voluntary_ctxt_switches:\t" + DIGITS + b"\n")
    assert kernel_counts._switches("/proc/1/task/1") == 0
    covered.write_bytes(b"oom_kill " + DIGITS + b"\n")
    assert control_groups._oom_kills(covered) is None
    covered.write_bytes(b"Name: x\nUid:\tx\n")
    assert task.owner_of(1) is None


@pytest.mark.parametrize("content", [b"", b"some words\n", b"1 (x) S x y\n", b"VmHWM:\n", DIGITS])
def test_other_processes_and_the_command(covered: Path, content: bytes) -> None:
    covered.write_bytes(content)
    assert processes._read(1) is None
    assert held._resident_peak(1) > 0


def test_the_one_that_began_last_is_one_of_which_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, covered: Path
) -> None:
    monkeypatch.setattr(callers, "Path", lambda path: covered)
    for content in (b"words", b"1 (x) S 1", b"1 (x) S " + b"1 " * 18 + DIGITS):
        covered.write_bytes(content)
        assert callers._start_time(1) == 1 << 63


def test_memory_of_the_machine_has_no_more_than_20_digits(
    monkeypatch: pytest.MonkeyPatch, covered: Path
) -> None:
    covered.write_bytes(b"MemAvailable:   " + DIGITS + b" kB\n")
    monkeypatch.setattr(limits, "MEMORY_INFO", covered)
    assert limits._memory_of_machine() == []


def test_no_cpu_has_more_than_7_digits(covered: Path) -> None:
    for content in (DIGITS, b"0-" + DIGITS, b"0-4000000000"):
        covered.write_bytes(content)
        with pytest.raises(CannotCollect, match="holds no numbers"):
            kernel_files.content(covered)
