"""What /proc does not tell of real processes and of this machine is no zero."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from fakes.acting import SWITCHES, acting, sleeping
from fakes.followed import tasks_of

from agent.procfs import disks, files, machine, task
from agent.procfs.evidence import Looks, machine_json, tasks_json
from agent.procfs.files import Unreadable
from agent.procfs.group import Group
from agent.procfs.readings import LACKING, WENT_BACK, Reading, Source, as_json, growth, read
from agent.procfs.tree import Tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


def test_a_file_that_is_missing_or_refused_gives_a_reason_and_no_zero(tmp_path: Path) -> None:
    def refused() -> files.Counts:
        return files.named(str(tmp_path / "nothing"), {b"a": "n"})

    reading = read([Source(("n", "m"), refused), Source(("k", "l"), lambda: {"k": 1})])
    assert reading.counts == {"k": 1}
    assert reading.missing == {
        "n": f"{tmp_path}/nothing: No such file or directory",
        "m": f"{tmp_path}/nothing: No such file or directory",
        "l": LACKING,
    }


def test_what_is_missing_at_either_end_has_no_growth() -> None:
    before = Reading({"a": 1, "b": 2, "c": 9}, {"d": "refused"})
    after = Reading({"a": 3, "c": 8, "d": 4}, {"b": "gone"})
    grown = growth(before, after)
    assert grown.counts == {"a": 2}
    assert grown.missing == {"b": "gone", "c": WENT_BACK, "d": "refused"}


def test_an_empty_file_is_not_one_of_zeros(tmp_path: Path) -> None:
    (tmp_path / "stat").touch()
    with pytest.raises(Unreadable, match="mounted over"):
        files.content(str(tmp_path / "stat"))


def test_waits_that_are_not_accounted_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "content", lambda path: b"0 0 0\n")
    assert not task.accounts_waits()


async def test_without_that_account_waits_are_absent_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.procfs.following.accounts_waits", lambda: False)
    tasks = await tasks_of("act()")
    assert "wait_ms" not in tasks
    [missing] = tasks["missing"]
    assert missing["figures"] == ["cpu_ms", "wait_ms"]
    assert "schedstat" in missing["reason"]


def test_a_disk_that_took_the_place_of_another_has_no_row() -> None:
    before = {"8:0 sda": {"reads": 5, "read_ms": 0}, "8:16 sdb": {"reads": 1, "read_ms": 0}}
    after = {"8:0 sda": {"reads": 7, "read_ms": 2_000_000}, "8:32 sdc": {"reads": 1, "read_ms": 0}}
    rows, replaced = disks.grown(before, after)
    assert rows == [
        {"device": "8:0", "name": "sda", "reads": 2, "read_ms": 2.0},
        {"device": "8:32", "name": "sdc", "reads": 1, "read_ms": 0.0},
    ]
    assert replaced == ["sdb"]
    said = machine_json(Reading(), Reading({"cpu0": 1}), rows, replaced)["missing"]
    assert said[0]["figures"] == ["disks.sdb"]


def test_a_time_of_32_bits_that_wrapped_is_of_the_same_disk() -> None:
    most, ms = (2**32 - 1) * 10**6, 10**6
    before = {"8:0 sda": {"reads": 5, "read_ms": most}, "8:16 sdb": {"reads": 5, "read_ms": 9 * ms}}
    after = {"8:0 sda": {"reads": 6, "read_ms": 4 * ms}, "8:16 sdb": {"reads": 6, "read_ms": ms}}
    rows, replaced = disks.grown(before, after)
    assert rows == [{"device": "8:0", "name": "sda", "reads": 1, "read_ms": 5.0}]
    assert replaced == ["sdb"]


def test_a_disk_of_a_cgroup_that_was_replaced_is_said_to_be_missing(tmp_path: Path) -> None:
    group = Group(tmp_path, with_waits=True)
    group._disks = [{"8:0 ": {"reads": 5}, "8:16 ": {"reads": 1}}, {"8:0 ": {"reads": 4}}]
    tasks = tasks_json(group, Looks())
    assert tasks["disks"] == []
    assert ["disks.8:0", "disks.8:16"] in [row["figures"] for row in tasks["missing"]]


@pytest.mark.parametrize(("pids", "counted"), [((os.getpid(),), True), ((1,), False), ((), False)])
async def test_a_cgroup_that_the_agent_is_in_says_so(
    tmp_path: Path, pids: tuple[int, ...], counted: bool
) -> None:
    threads = tmp_path / "cgroup.threads"
    threads.write_text(f"{os.getpid()}\n")
    group = Group(tmp_path, with_waits=False, agent=pids)
    await group.look()
    threads.write_text("")
    await group.look()
    assert tasks_json(group, Looks())["includes_agent"] is counted, "at any look"


async def test_what_is_in_a_cgroup_as_the_run_begins_was_not_born_in_it(tmp_path: Path) -> None:
    (tmp_path / "cgroup.threads").write_text(f"{os.getpid()}\n")
    group = Group(tmp_path, with_waits=False)
    await group.look()
    await group.look()
    assert tasks_json(group, Looks())["forks"] == 0


async def test_what_is_moved_into_a_cgroup_counts_from_then_on(tmp_path: Path) -> None:
    group = Group(tmp_path, with_waits=False)
    await group.look()
    await trio.sleep(0.05)
    with acting("act()") as child:
        child.act()
        await trio.sleep(0.05)
        await group.look()
        (tmp_path / "cgroup.threads").write_text(f"{child.pid}\n")
        await group.look()
        assert group.of_threads.totals["voluntary_switches"] < SWITCHES
        assert group.of_threads.began == 0
        with acting("act()") as born:
            (tmp_path / "cgroup.threads").write_text(f"{child.pid}\n{born.pid}\n")
            born.act()
            await group.look()
    assert group.of_threads.totals["voluntary_switches"] >= SWITCHES
    assert group.of_threads.began == 1


OF_SEEN = ["cpu_ms", "wait_ms", "voluntary_switches", "involuntary_switches", "forks"]


@pytest.mark.parametrize("others", ["", f"{os.getpid()}\n"], ids=["none of it seen", "some seen"])
@pytest.mark.parametrize("why", ["pid namespace", "hides", "Permission denied"])
async def test_tasks_of_a_cgroup_that_are_not_seen_make_no_zeros(
    tmp_path: Path, why: str, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of the namespace, hidden by hidepid, or in a group that may not be read."""
    listed = tmp_path / "cgroup.threads"
    listed.write_text(others)
    group = Group(tmp_path, with_waits=True)
    with sleeping(1) as [unseen]:
        if why == "pid namespace":
            listed.write_text(f"0\n{others}0\n")
        elif why == "hides":
            listed.write_text(f"{others}{unseen}\n")
            hide(monkeypatch, unseen)
        else:
            below = refusing(tmp_path / "below")
            monkeypatch.setattr(files, "content_or_nothing", below)
            (tmp_path / "below").mkdir()
        await group.look()
    tasks = tasks_json(group, Looks())
    [missing] = [row for row in tasks["missing"] if "wait_ms" in row["figures"]]
    assert missing["figures"] == OF_SEEN
    assert why in missing["reason"]
    assert ("lower bound" in missing["reason"]) == bool(others)
    assert {name for name in OF_SEEN if name in tasks} == ({*OF_SEEN} if others else set())
    assert tasks["followed"]["last_seen"] == (OF_SEEN if others else [])


async def test_a_group_below_that_cannot_be_listed_is_unseen_unless_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    for folder in (tmp_path, below):
        (folder / "cgroup.threads").write_text("")
    group = Group(tmp_path, with_waits=True)
    unlisted(monkeypatch, below, FileNotFoundError(errno.ENOENT, "No such file", str(below)))
    await group.look()
    assert group.unseen == ""
    unlisted(monkeypatch, below, PermissionError(errno.EACCES, "Permission denied", str(below)))
    await group.look()
    assert group.unseen == f"{below}: Permission denied"


def unlisted(monkeypatch: pytest.MonkeyPatch, folder: Path, error: OSError) -> None:
    """Have a folder that cannot be listed: for root there is none."""
    intact = os.scandir

    def listing(path: str) -> object:
        if Path(path) == folder:
            raise error
        return intact(path)

    monkeypatch.setattr(os, "scandir", listing)


def hide(monkeypatch: pytest.MonkeyPatch, *pids: int) -> None:
    """Have /proc look as it does with hidepid=2 to those who may not see these processes."""
    intact = files.content_or_nothing

    def reading(path: str) -> bytes:
        is_hidden = path.startswith(tuple(f"/proc/{pid}/" for pid in pids))
        return intact("/proc/-/nothing" if is_hidden else path)

    monkeypatch.setattr(files, "content_or_nothing", reading)


def refusing(folder: Path) -> Callable[[str], bytes]:
    """Return what reads files, except those in this folder."""

    intact = files.content_or_nothing

    def reading(path: str) -> bytes:
        if path.startswith(f"{folder}/"):
            raise Unreadable(f"{path}: Permission denied")
        return intact(path)

    return reading


async def test_a_thread_that_ended_before_it_was_read_is_nothing_unseen(tmp_path: Path) -> None:
    (tmp_path / "cgroup.threads").write_text(f"{2**22 + 1}\n")
    group = Group(tmp_path, with_waits=True)
    await group.look()
    assert group.unseen == ""
    assert tasks_json(group, Looks())["forks"] == 0


async def test_descendants_that_proc_hides_make_a_lower_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sleeping(1) as children:
        hide(monkeypatch, *children)
        tree = Tree(os.getpid(), with_waits=True)
        await tree.look()
    tasks = tasks_json(tree, Looks())
    [missing] = [row for row in tasks["missing"] if "user_ms" in row["figures"]]
    assert {"wait_ms", "minor_faults", "forks", "read_calls"} <= {*missing["figures"]}
    assert "hidepid" in missing["reason"]
    assert "user_ms" in tasks


def test_names_with_dots_are_objects_and_times_are_in_ms() -> None:
    assert as_json({"a.b.some_ms": 1_500_000, "n": 2}) == {"a": {"b": {"some_ms": 1.5}}, "n": 2}


def test_pressure_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    (tmp_path / "io").write_text(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    )
    assert files.pressure(str(tmp_path / "io"), "p") == {"p.some_ms": 1_234_000, "p.full_ms": 7_000}


def test_all_of_the_machine_is_known_or_missing() -> None:
    reading = read(machine.MACHINE)
    wanted = {name for source in machine.MACHINE for name in source.figures}
    assert reading.counts.keys() | reading.missing.keys() == wanted
