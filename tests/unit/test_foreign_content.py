"""Files of /proc and /sys over which something else is mounted end nothing, and say nothing."""

import resource
from pathlib import Path

import pytest
from fakes.confined import Confinement

from agent.streams.shared import callers, confinement, limits

CONTENTS = (b"", b"\n\n", b"\x89PNG\xff\xfe\n", b"some other words\nin two lines\n", b"1 2 3 4 5\n")

contents = pytest.mark.parametrize("content", CONTENTS)


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
