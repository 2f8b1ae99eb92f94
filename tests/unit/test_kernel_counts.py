"""What is read of process 1, whose turns some kernels hide, and of files that hold no text."""

from pathlib import Path

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


def test_a_file_that_is_no_text_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "online"
    other.write_bytes(b"\x89\xff\n")
    monkeypatch.setattr(kernel_files, "ONLINE_CPUS", other)
    assert kernel_counts.online_cpus() != ""
