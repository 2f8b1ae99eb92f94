"""The kernel's figures of disks: read, compared only with those of the same disk, and bounded."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sections.biolatency import diskstats
from agent.sections.biolatency.disk_readings import DiskReadings, disk_readings
from agent.sections.biolatency.diskstats import disk_figures, has_disks_without_requests
from agent.streams.shared.kernel_counts import Edge, KernelCounts

ZEROS = {"read": 0, "write": 0, "discard": 0, "flush": 0}


def figures(**given: int) -> dict[str, int]:
    return {**ZEROS, "registration": 1, **given}


def readings(*four: Mapping[str, int] | None) -> DiskReadings:
    return DiskReadings(*four)


def test_growth_is_between_the_inner_readings_and_between_the_outer_ones() -> None:
    disk = readings(*(figures(write=n) for n in (10, 12, 30, 33)))
    assert disk.growth() == {**ZEROS, "write": 18}
    assert disk.outer_growth() == {**ZEROS, "write": 23}


def test_a_disk_that_was_added_counts_from_zero() -> None:
    disk = readings(None, None, figures(write=30), figures(write=31))
    assert disk.growth() == {**ZEROS, "write": 30}


@pytest.mark.parametrize(
    "four",
    [
        # removed
        (figures(write=10), figures(write=10), None, None),
        # removed and added again: it may have had more requests since than before
        (*[figures(write=10)] * 2, *[figures(write=90, registration=2)] * 2),
        # reset
        (*[figures(write=10)] * 2, *[figures(write=3)] * 2),
    ],
)
def test_what_is_not_one_disk_is_not_compared(four: tuple[Mapping[str, int] | None, ...]) -> None:
    assert readings(*four).growth() is None
    assert readings(*four).outer_growth() is None
    assert readings(*four).older_than_run("write", 0) is None


@given(
    old=st.integers(0, 5),
    completes=st.integers(0, 5),
    seen=st.integers(0, 50),
    unseen=st.integers(0, 3),
    new_open=st.lists(st.integers(0, 5), min_size=3, max_size=3),
)
def test_requests_older_than_the_run_are_within_their_bounds(
    old: int, completes: int, seen: int, unseen: int, new_open: list[int]
) -> None:
    """Some of the old ones complete in the run, and we may miss completions of new ones."""
    hung = max(0, old - completes)
    completed = (old - hung) + seen + unseen
    in_flight = [old, *(hung + n for n in new_open)]
    counts = (0, 0, completed, completed)
    four = [figures(write=w, in_flight_write=i) for w, i in zip(counts, in_flight, strict=True)]
    bounds = readings(*four).older_than_run("write", seen)
    assert bounds is not None
    assert bounds[0] <= hung <= bounds[1]
    if unseen == 0 and not any(new_open):
        assert bounds == (hung, hung)


@pytest.mark.parametrize(
    ("last", "is_idle"),
    [
        (figures(), True),
        (figures(flush=1), False),
        (figures(registration=2), False),
        (figures(in_flight_read=0, in_flight_write=0), False),
        (None, False),
    ],
)
def test_a_disk_is_idle_that_does_nothing_at_any_reading(
    last: Mapping[str, int] | None, is_idle: bool
) -> None:
    for position in range(4):
        four: list[Mapping[str, int] | None] = [figures() for _ in range(4)]
        four[position] = last
        assert readings(*four).is_idle == is_idle
    assert not readings(*[figures(in_flight_read=1, in_flight_write=0)] * 4).is_idle


def test_without_the_supervisors_readings_the_inner_ones_stand_for_them() -> None:
    def edge(reads: int) -> Edge:
        counts = {f"{name}_8:0": value for name, value in figures(read=reads).items()}
        return Edge(KernelCounts(), 0, 0, 0, "0", {"biolatency": counts})

    disk = disk_readings((edge(1), edge(4)))["8:0"]
    assert disk.growth() == disk.outer_growth() == {**ZEROS, "read": 3}


# --- reading them


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a disk that has a partition, and a disk without requests."""
    statistics = ["1 0 8 5 2 0 16 6 {} 7 8 3 0 24 9 4 10", "0 " * 15 + "0 0"]
    rows = [
        f"8 0 sda {statistics[0].format(2)}",
        f"8 1 sda1 {statistics[0].format(2)}",
        "253 0 zram0 " + " ".join(["0"] * 17),
    ]
    (tmp_path / "diskstats").write_text("\n".join(rows) + "\n")
    sysfs = tmp_path / "dev"
    for folder in ("8:0/mq", "8:1", "253:0"):
        (sysfs / folder).mkdir(parents=True)
    (sysfs / "8:1" / "partition").write_text("1\n")
    (sysfs / "8:0" / "inflight").write_text("       1        1\n")
    (sysfs / "253:0" / "size").write_text("0\n")
    (sysfs / "8:0" / "size").write_text("100\n")
    monkeypatch.setattr(diskstats, "DISKSTATS", tmp_path / "diskstats")
    monkeypatch.setattr(diskstats, "SYSFS", sysfs)
    monkeypatch.setattr(diskstats, "BLOCK", sysfs)
    return tmp_path


def test_figures_are_those_of_whole_disks(machine: Path) -> None:
    found = disk_figures()
    assert found.pop("registration_8:0") != found.pop("registration_253:0")
    assert found == {
        "read_8:0": 1,
        "write_8:0": 2,
        "discard_8:0": 3,
        "flush_8:0": 4,
        "in_flight_read_8:0": 1,
        "in_flight_write_8:0": 1,
        **{f"{name}_253:0": 0 for name in ZEROS},
        "takes_bios_253:0": 1,
    }


def test_a_disk_that_was_just_added_may_get_its_requests_later(machine: Path) -> None:
    assert "takes_bios_253:0" in disk_figures()
    (machine / "dev" / "253:0" / "mq").mkdir()
    assert "takes_bios_253:0" not in disk_figures()


def test_another_device_under_the_same_number_is_looked_at_anew(machine: Path) -> None:
    assert "read_8:1" not in disk_figures()
    (machine / "dev" / "8:1").rename(machine / "removed")  # its inode stays in use
    (machine / "dev" / "8:1").mkdir()
    found = disk_figures()
    assert found["read_8:1"] == found["takes_bios_8:1"] == 1


def test_a_disk_without_requests_and_without_a_size_needs_nothing(machine: Path) -> None:
    (machine / "dev" / "8:1" / "mq").mkdir()
    assert not has_disks_without_requests()
    (machine / "dev" / "253:0" / "size").write_text("32768\n")
    assert has_disks_without_requests()


def test_a_row_that_changed_is_parsed_anew(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other one."""
    parsed: list[bytes] = []
    parse = diskstats._parsed
    monkeypatch.setattr(diskstats, "_parsed", lambda line: parsed.append(line) or parse(line))
    rows = (machine / "diskstats").read_text()
    disk_figures()
    parsed.clear()
    for writes in (2, 5, 2):
        (machine / "diskstats").write_text(rows.replace("sda 1 0 8 5 2", f"sda 1 0 8 5 {writes}"))
        assert disk_figures()["write_8:0"] == writes
    assert [line.split()[diskstats.NAME] for line in parsed] == [b"sda", b"sda"]


def test_a_disk_that_becomes_busy_has_requests_in_flight(machine: Path) -> None:
    """Until then it needs no further file."""
    busy = (machine / "diskstats").read_text()
    idle = busy.replace("sda 1 0 8 5 2 0 16 6 2", "sda 1 0 8 5 2 0 16 6 0")
    seen = []
    for rows in (idle, busy, idle):
        (machine / "diskstats").write_text(rows)
        seen.append(disk_figures().get("in_flight_write_8:0"))
    assert seen == [None, 1, None]


def test_a_disk_that_is_gone_is_forgotten(machine: Path) -> None:
    rows = (machine / "diskstats").read_bytes().splitlines(keepends=True)
    assert "read_253:0" in disk_figures()
    (machine / "diskstats").write_bytes(b"".join(rows[:-1]))
    assert not any(name.endswith("_253:0") for name in disk_figures())
    assert len(diskstats._rows) == len(rows) - 1


def test_without_proc_and_sys_there_are_no_figures(machine: Path) -> None:
    for name in ("DISKSTATS", "SYSFS", "BLOCK"):
        setattr(diskstats, name, machine / "nothing")
    assert disk_figures() == {}
    assert not has_disks_without_requests()


def test_what_is_no_row_of_a_disk_is_no_figure(machine: Path) -> None:
    """Something else may be mounted over the file."""
    found = disk_figures()
    with (machine / "diskstats").open("ab") as rows:
        rows.write(b"\x89PNG\xff\n" + b"8 2 sdc " + b"x " * 17 + b"\n" + b"\xff " * 20 + b"\n")
        rows.write(b"8 2 sdc " + b"9" * 5000 + b" 1" * 16 + b"\n")
    assert disk_figures() == found


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"three words here", b"one two"])
def test_a_disks_file_that_holds_no_numbers_is_left_out(machine: Path, content: bytes) -> None:
    (machine / "dev" / "8:0" / "inflight").write_bytes(content)
    (machine / "dev" / "253:0" / "size").write_bytes(content)
    assert not any(name.startswith("in_flight") for name in disk_figures())
    assert not has_disks_without_requests()
