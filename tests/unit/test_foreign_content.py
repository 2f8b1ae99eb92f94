"""Files of /proc and /sys over which something else is mounted end nothing, and say nothing."""

import resource
from pathlib import Path

import pytest
from fakes.confined import Confinement

from agent.evidence import cost
from agent.procfs import disks
from agent.procfs.files import Unreadable
from agent.streams.collect import cpu_quota
from agent.streams.shared import callers, confinement, control_groups, kernel_counts, limits
from agent.streams.shared.kernel_counts import KernelCounts

CONTENTS = (b"", b"\n\n", b"\x89PNG\xff\xfe\n", b"some other words\nin two lines\n", b"1 2 3 4 5\n")

contents = pytest.mark.parametrize("content", CONTENTS)


@contents
def test_what_the_kernel_has_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    """Nor is a number taken of a row that has others as well."""
    file = tmp_path / "stat"
    real, rows = kernel_counts._lines, b"ctxt\nprocesses -5\ncpu 1 2 3\n"
    monkeypatch.setattr(kernel_counts, "_lines", lambda path: real(str(file)))
    for found in (content, rows, rows.replace(b"-5", b"1_0"), b"ctxt 1\nprocesses 2\ncpu 1 2\n"):
        file.write_bytes(found)
        assert not kernel_counts.read_kernel_counts().is_known
    file.write_bytes(b"cpu  1 2 3 4 5 6 7 8 9 0\nctxt 11\nprocesses 12\n")
    assert kernel_counts.read_kernel_counts() == KernelCounts(11, 12, 8)


@contents
def test_what_a_process_has_cost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    files = {name: tmp_path / name for name in ("stat", "schedstat")}
    monkeypatch.setattr(
        cost.small_files, "read", lambda path: files[path.rpartition("/")[2]].read_bytes()
    )
    monkeypatch.setattr(cost, "proc_is_ours", lambda: True)
    good = {"stat": b"1 (x) S" + b" 1" * 50, "schedstat": b"2000000 3000000 4\n"}
    for covered in files:
        for name, file in files.items():
            file.write_bytes(content if name == covered else good[name])
        if (covered, content) != ("schedstat", CONTENTS[-1]):  # nobody could tell
            assert cost.costs_of([1]) == {1: cost.Cost()}
    for name, file in files.items():
        file.write_bytes(good[name])
    assert cost.costs_of([1])[1].run_delay_ms == 3


@contents
def test_groups_of_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "covered").write_bytes(content)
    (tmp_path / "cgroup").write_bytes(b"0::/\n")
    assert control_groups.groups("cpu", tmp_path / "covered").directories == ()
    monkeypatch.setattr(control_groups, "MOUNTS", tmp_path / "covered")
    assert control_groups.groups("cpu", tmp_path / "cgroup").directories == ()


@contents
def test_counts_of_a_group(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cpu.stat").write_bytes(content)
    with (
        (tmp_path / "cpu.stat").open("rb") as file,
        pytest.raises(cpu_quota._NotOfTheKernel, match=r"^cpu\.stat of a control group holds "),
    ):
        cpu_quota._counts(file.fileno())


@contents
def test_disks_without_ebpf(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    monkeypatch.setattr(disks, "FILE", str(tmp_path / "diskstats"))
    for found in (content, b"x " * 20 + b"\n", b"8 0 sda " + b"9" * 5000 + b" 1" * 20 + b"\n"):
        (tmp_path / "diskstats").write_bytes(found)
        with pytest.raises(Unreadable):
            disks.read_disks()


@contents
def test_what_confines_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    confined = Confinement(monkeypatch, tmp_path)
    for file in (confined.status, confined.lockdown):
        file.write_bytes(content)
    assert not confinement.filters_calls()
    assert confinement.lockdown() == ""


def test_names_may_be_any_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    confined = Confinement(monkeypatch, tmp_path)
    confined.status.write_bytes(b"Name:\tag\xe9nt\nSeccomp:\t2\nSeccomp_filters:\t1\n")
    confined.profile.write_bytes(b"caf\xe9 (enforce)\n")
    assert confinement.filters_calls()
    assert confinement.profile() == r"caf\xe9 (enforce)"


@contents
def test_memory_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "meminfo").write_bytes(content)
    monkeypatch.setattr(limits, "MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(limits.control_groups, "limits", lambda _: [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert limits.least_memory() is None
    (tmp_path / "meminfo").write_bytes(content + b"MemAvailable:   2048 kB\n")
    assert limits.least_memory() == (2 << 20, limits.memory())


@pytest.mark.parametrize("content", CONTENTS[:-1])
def test_memory_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "statm").write_bytes(content)
    monkeypatch.setattr(limits, "MEMORY_OF_PROCESS", tmp_path / "statm")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 10,) * 2)
    assert [memory.left for memory in limits._memory_of_process()] == [1 << 10]


@contents
def test_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tcp").write_bytes(content)
    monkeypatch.setattr(callers, "TABLES", (tmp_path / "tcp",))
    local, remote = (callers._packed(("127.0.0.1", port)) for port in (1, 2))
    assert callers._socket_inode(local, remote) is None
