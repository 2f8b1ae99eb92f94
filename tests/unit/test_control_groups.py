"""Limits of control groups, read from files as either version of cgroups shows them."""

from pathlib import Path

import pytest

from agent.streams.shared import control_groups, limits
from agent.streams.shared.control_groups import Limit, oom_kills

MIB = 1 << 20


class Machine:
    """The files that say which groups this process is in."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._folder = folder
        self._cgroups, self._mounts = folder / "cgroups", folder / "mounts"
        self.vmstat = folder / "vmstat"
        patch.setattr(control_groups, "CGROUPS", self._cgroups)
        patch.setattr(control_groups, "MOUNTS", self._mounts)
        patch.setattr(control_groups, "VMSTAT", self.vmstat)

    def says(self, cgroups: str, *mounts: str) -> None:
        """Write the two files; ``{mnt}`` in a mount is a folder of this test."""
        self._cgroups.write_text(cgroups)
        self._mounts.write_text("".join(line.format(mnt=self._folder) + "\n" for line in mounts))

    def group(self, path: str, **files: str) -> Path:
        folder = self._folder / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return folder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


V2 = "29 23 0:26 / {mnt}/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 27 0:30 / {mnt}/memory rw shared:9 - cgroup cgroup rw,memory"


def test_every_group_up_to_the_root_may_limit(machine: Machine) -> None:
    machine.says("0::/a/b\n", V2)
    machine.group("cg")
    outer = machine.group("cg/a", memory__max=f"{100 * MIB}\n", memory__current=f"{95 * MIB}\n")
    inner = machine.group("cg/a/b", memory__max="max\n", memory__current=f"{5 * MIB}\n")
    assert control_groups.limits("memory") == [Limit(outer / "memory.max", 100 * MIB, 95 * MIB)]
    (inner / "memory.max").write_text(str(20 * MIB))
    assert [limit.left // MIB for limit in control_groups.limits("memory")] == [15, 5]
    assert f"cgroup {outer} allows 100 MiB (memory.max) and has 5 MiB left" in limits.memory()


def test_where_they_are_mounted_may_have_a_space_in_its_name(machine: Machine) -> None:
    machine.says("0::/a b\n", V2.replace("/cg", "/the\\040cg"))
    group = machine.group("the cg/a b", memory__max=f"{MIB}\n", memory__current="0\n")
    assert control_groups.limits("memory") == [Limit(group / "memory.max", MIB, 0)]


def test_the_first_version_has_a_hierarchy_for_each_controller(machine: Machine) -> None:
    machine.says("4:memory:/job\n8:pids:/\n0::/elsewhere\n", V2, V1)
    files = {"memory__limit_in_bytes": f"{60 * MIB}", "memory__usage_in_bytes": f"{59 * MIB}"}
    group = machine.group("memory/job", **files)
    [limit] = control_groups.limits("memory")
    assert limit == Limit(group / "memory.limit_in_bytes", 60 * MIB, 59 * MIB)
    assert control_groups.limits("pids") == []


def test_a_container_sees_its_own_group_as_the_root(machine: Machine) -> None:
    """With a cgroup namespace of its own, and without one."""
    files = {"memory__max": f"{MIB}", "memory__current": "0"}
    group = machine.group("cg", **files)
    for own, root in {"/": "/", "/docker/abc": "/docker/abc"}.items():
        machine.says(f"0::{own}\n", V2.replace(" / ", f" {root} "))
        assert control_groups.limits("memory") == [Limit(group / "memory.max", MIB, 0)]


@pytest.mark.parametrize("own", ["/../other", "/docker/abcdef"])
def test_a_group_that_is_not_mounted_here_is_unknown(machine: Machine, own: str) -> None:
    machine.group("cg", memory__max="1", memory__current="1")
    machine.says(f"0::{own}\n", V2.replace(" / ", " /docker/abc " if "docker" in own else " / "))
    assert control_groups.limits("memory") == []


def test_without_any_groups_there_is_no_limit(machine: Machine) -> None:
    assert control_groups.limits("memory") == []
    assert oom_kills() == 0
    assert "MemAvailable" in limits.memory()


def test_kills_are_counted_in_either_version_or_on_the_machine(machine: Machine) -> None:
    machine.vmstat.write_text("nr_free_pages 1\noom_kill 7\n")
    machine.says("0::/\n", V2)
    machine.group("cg")
    assert oom_kills() == 7
    machine.group("cg", memory__events="low 0\noom 3\noom_kill 2\n")
    assert oom_kills() == 2
    machine.says("4:memory:/\n", V1)
    machine.group("memory", memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert oom_kills() == 1
