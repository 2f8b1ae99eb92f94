"""What is unknown says what would help, where that is known."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.acting import acting
from fakes.mounts import mounting
from fakes.needs import not_here
from fakes.users import SOMEBODY, as_user

from agent.procfs import files, machine, readings
from agent.procfs.evidence import AS_ITS_USER, Looks, tasks_json
from agent.procfs.files import Unreadable
from agent.procfs.group import Group
from agent.procfs.tree import Tree
from agent.streams.shared.namespaces import NOT_MOUNTED
from agent.words import Json

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


def reason(tasks: Json, figure: str) -> str:
    [why] = [row["reason"] for row in tasks["missing"] if figure in row["figures"]]
    return str(why)


async def refused(before: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return why the I/O of a process is not known that the kernel does not show."""

    def refuse(pid: int) -> files.Counts:
        raise Unreadable(f"/proc/{pid}/io: Permission denied")

    monkeypatch.setattr("agent.procfs.tree.read_io", refuse)
    with acting("act()", before=before) as child:
        child.act()
        tree = Tree(child.pid, with_waits=True)
        await tree.look()
        return reason(tasks_json(tree, Looks()), "read_chars")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
async def test_io_of_another_user_is_known_to_an_agent_of_that_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    why = await refused(as_user(SOMEBODY), monkeypatch)
    assert why.endswith(f"/io: Permission denied{AS_ITS_USER}")


async def test_io_of_the_own_user_is_not_known_to_that_user_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    why = await refused([], monkeypatch)
    assert why.endswith("/io: Permission denied")


@pytest.mark.parametrize(
    ("path", "needed"), [("/proc/schedstat", "CONFIG_SCHEDSTATS"), ("/proc/pressure/cpu", "psi=1")]
)
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_file_that_the_kernel_lacks_says_what_it_needs(
    path: str, needed: str, is_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(path: str) -> bytes:
        raise Unreadable(f"{path}: no", is_gone=is_gone)

    monkeypatch.setattr(files, "content", lacking)
    monkeypatch.setattr(machine, "content", lacking)
    read = machine.read_waits if "schedstat" in path else lambda: readings.read(machine.MACHINE)
    [why] = {why for why in read().missing.values() if why.startswith(path)}
    assert (needed in why) == is_gone


def no_such_file(path: str) -> Unreadable:
    with pytest.raises(Unreadable) as unreadable:
        files.content(path)
    return unreadable.value


def test_where_proc_shows_processes_only_no_kernel_is_blamed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "OF_EVERY_KERNEL", f"{tmp_path}/stat")
    for path in ("/proc/lacking", "/proc/pressure/lacking"):
        why = no_such_file(path)
        assert str(why) == files.PROCESSES_ONLY
        assert why.is_gone
    for path in ("/proc/self/lacking", "/proc/1/lacking", f"{tmp_path}/lacking"):
        assert str(no_such_file(path)) == f"{path}: No such file or directory"


def test_where_proc_is_not_mounted_every_file_of_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.streams.shared.namespaces.PROC", tmp_path)
    monkeypatch.setattr(files, "OF_EVERY_KERNEL", f"{tmp_path}/stat")
    for path in ("/proc/lacking", "/proc/pressure/lacking", "/proc/self/lacking"):
        assert str(no_such_file(path)) == NOT_MOUNTED
    with pytest.raises(Unreadable, match=re.escape(NOT_MOUNTED)):
        files.listed("/proc/lacking")
    assert str(no_such_file(f"{tmp_path}/lacking")).endswith("No such file or directory")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("umount -l /proc", NOT_MOUNTED),
        ("mount -t proc -o subset=pid none /proc", files.PROCESSES_ONLY),
    ],
)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_the_machine_is_unknown_for_one_reason_if_proc_lacks_all_of_it(
    script: str, why: str
) -> None:
    """Also that of the disks, and of no row the kernel's configuration."""
    asking = (
        "from agent.procfs import following\n"
        "found = following._read_machine()\n"
        "read = [found.counts, found.waits]\n"
        "print(found.disks, *(why for one in read for why in one.missing.values()), sep='\\n')"
    )
    command = [*mounting(script), sys.executable, "-c", asking]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "Traceback" not in done.stderr:
        not_here(f"this cannot be mounted here: {done.stderr}")
    assert set(done.stdout.splitlines()) == {why}, done.stderr


@pytest.mark.parametrize("has_switch", [True, False])
def test_pressure_may_be_switched_off_for_a_group(tmp_path: Path, has_switch: bool) -> None:
    if has_switch:
        (tmp_path / "cgroup.pressure").write_text("0\n")
    with pytest.raises(Unreadable) as unreadable:
        files.pressure(f"{tmp_path}/cpu.pressure", "pressure.cpu")
    needed = f"1 in {tmp_path}/cgroup.pressure" if has_switch else files.PSI
    assert str(unreadable.value).endswith(f"it needs {needed}")


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ("", "none above has it"),
        ("a", "subtree_control of {0}/a"),
        (".", "subtree_control of {0} and of those below it"),
    ],
)
async def test_a_controller_that_is_not_enabled_says_where_it_would_be(
    tmp_path: Path, offered: str, said: str
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    if offered:
        (tmp_path / offered / "cgroup.controllers").write_text("cpu io memory\n")
    group = Group(tmp_path / "a/b", with_waits=True)
    await group.look()
    tasks = tasks_json(group, Looks())
    for figure, controller in (("page_faults", "memory"), ("disks", "io")):
        why = reason(tasks, figure)
        assert f"the controller {controller} is not enabled" in why
        assert why.partition(" (version")[0].endswith(said.format(tmp_path))
