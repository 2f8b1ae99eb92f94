"""What is read of process 1, whose turns some kernels hide, and of files that hold no text."""

import errno
import os
from pathlib import Path

import pytest

from agent import small_files
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


FILES = {
    "schedstat": "50 60 4\n",
    "status": "voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t2\n",
}


def process_1(
    monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, str], error: OSError
) -> None:
    """Have process 1 consist of thread 1 with these files, and thread 8, whose raise an error."""
    for name, content in files.items():
        (folder / name).write_text(content)

    def read(path: str) -> bytes:
        thread, name = path.removeprefix("/proc/1/task/").split("/")
        if thread == "8":
            raise error
        return (folder / name).read_bytes()

    monkeypatch.setattr(kernel_counts, "INITIAL_PID_NAMESPACE", os.stat("/proc/self/ns/pid").st_ino)
    monkeypatch.setattr(kernel_counts, "proc_is_ours", lambda: True)
    monkeypatch.setattr(small_files, "read", read)
    monkeypatch.setattr(os, "listdir", lambda path: ["1", "8"])


@pytest.mark.parametrize(
    ("number", "found"),
    [(errno.ENOENT, 4), (errno.ESRCH, 4), (errno.EMFILE, None), (errno.EACCES, None)],
)
def test_only_of_a_thread_that_is_gone_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, found: int | None
) -> None:
    """What cannot be read for another reason counts as not known, and not as 0."""
    with monkeypatch.context() as patch:
        process_1(patch, tmp_path, FILES, OSError(number, os.strerror(number)))
        assert kernel_counts.process_1_switches() == found


@pytest.mark.parametrize("schedstat", [None, "0 0 0\n", "mounted over\n"])
def test_a_kernel_without_schedstat_says_it_in_the_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, schedstat: str | None
) -> None:
    with monkeypatch.context() as patch:
        files = {"status": FILES["status"]} | ({"schedstat": schedstat} if schedstat else {})
        process_1(patch, tmp_path, files, FileNotFoundError())
        assert kernel_counts.process_1_switches() == 5


def test_a_file_that_is_no_text_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "online"
    other.write_bytes(b"\x89\xff\n")
    monkeypatch.setattr(kernel_files, "ONLINE_CPUS", other)
    assert kernel_counts.online_ranges() != ""
