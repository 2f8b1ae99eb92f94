"""What is read of process 1, whose turns some kernels hide, and of files that hold no text."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from agent.streams.shared import kernel_counts, kernel_files


def of_the_leader() -> int:
    lines = Path("/proc/1/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def test_switches_of_process_1_are_those_of_all_its_threads() -> None:
    at_least, found = of_the_leader(), kernel_counts.process_1_switches()
    assert found is None or found >= at_least


def test_in_a_pid_namespace_they_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_counts, "INITIAL_PID_NAMESPACE", 1)
    assert kernel_counts.process_1_switches() is None


@pytest.mark.parametrize(
    ("number", "found"),
    [(errno.ENOENT, 4), (errno.ESRCH, 4), (errno.EMFILE, None), (errno.EACCES, None)],
)
def test_only_of_a_thread_that_is_gone_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, found: int | None
) -> None:
    """What cannot be read for another reason counts as not known, and not as 0."""
    status = tmp_path / "status"
    status.write_text("voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t1\n")

    def opened(path: str, *args: Any, **kwargs: Any) -> object:
        if path == "/proc/1/task/8/status":
            raise OSError(number, os.strerror(number))
        return open(status if path == "/proc/1/task/1/status" else path, *args, **kwargs)

    monkeypatch.setattr(kernel_counts, "INITIAL_PID_NAMESPACE", os.stat("/proc/self/ns/pid").st_ino)
    monkeypatch.setattr(kernel_counts, "proc_is_ours", lambda: True)
    monkeypatch.setattr(kernel_counts, "open", opened, raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda path: ["1", "8"])
        assert kernel_counts.process_1_switches() == found


def test_a_file_that_is_no_text_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "online"
    other.write_bytes(b"\x89\xff\n")
    monkeypatch.setattr(kernel_files, "ONLINE_CPUS", other)
    assert kernel_counts.online_cpus() != ""
