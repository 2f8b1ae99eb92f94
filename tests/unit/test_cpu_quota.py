"""CPU quotas of either version of control groups, as files show them."""

from pathlib import Path

import pytest

from agent.evidence import held_back
from agent.streams.collect.cpu_quota import Counts, Limited, QuotaMeter, Throttling
from agent.streams.shared.control_groups import Groups

MS = 1_000_000


class Hierarchy:
    """Folders that look like a group, the one above it, and the root."""

    def __init__(self, folder: Path, version: int, *, in_container: bool = False) -> None:
        self.version = version
        self.root, self.outer, self.inner = folder, folder / "a", folder / "a/b"
        self.inner.mkdir(parents=True)
        for group in (self.root, self.outer, self.inner):
            self.count(group)
            if version == 1:
                self.limit(group, None)
        below = (self.outer, self.inner) if not in_container else (self.root,)
        if version == 2:
            for group in {*below, self.outer, self.inner}:
                (group / "cgroup.type").touch()
                self.limit(group, None)
        elif not in_container:
            (self.root / "cgroup.sane_behavior").touch()

    def count(self, group: Path, *counts: int) -> None:
        periods, throttled, ms = counts or (0, 0, 0)
        time = f"throttled_time {ms * MS}" if self.version == 1 else f"throttled_usec {ms * 1000}"
        said = f"nr_periods {periods}\nnr_throttled {throttled}\n{time}\n"
        (group / "cpu.stat").write_text(said)

    def limit(self, group: Path, quota_us: int | None) -> None:
        if self.version == 1:
            (group / "cpu.cfs_quota_us").write_text(f"{-1 if quota_us is None else quota_us}\n")
            (group / "cpu.cfs_period_us").write_text("100000\n")
        else:
            (group / "cpu.max").write_text(f"{quota_us or 'max'} 100000\n")

    def meter(self) -> QuotaMeter:
        return QuotaMeter(Groups(self.version, "/a/b", (self.inner, self.outer, self.root)))


@pytest.fixture(params=[1, 2])
def hierarchy(request: pytest.FixtureRequest, tmp_path: Path) -> Hierarchy:
    return Hierarchy(tmp_path, request.param)


def test_the_growth_in_each_group_with_a_quota(hierarchy: Hierarchy) -> None:
    hierarchy.limit(hierarchy.outer, 50_000)
    hierarchy.count(hierarchy.outer, 7, 3, 100)
    meter = hierarchy.meter()
    hierarchy.count(hierarchy.outer, 9, 4, 140)
    found = meter.read()
    meter.close()
    assert found.limits == (Limited("/a", 50_000, 100_000, Counts(2, 1, 40 * MS)),)
    assert (found.ns, found.to_root) == (40 * MS, True)
    assert held_back.quota(found) == {
        "available": True,
        "throttled_ms": 40.0,
        "to_root": True,
        "limits": [
            {
                "cgroup": "/a",
                "quota_ms": 50.0,
                "period_ms": 100.0,
                "periods": 2,
                "throttled": 1,
                "throttled_ms": 40.0,
            }
        ],
    }


def test_without_any_quota_nothing_was_throttled(hierarchy: Hierarchy) -> None:
    found = hierarchy.meter().read()
    assert (found.limits, found.ns) == ((), 0)


def test_a_quota_that_was_set_during_the_run(hierarchy: Hierarchy) -> None:
    meter = hierarchy.meter()
    hierarchy.count(hierarchy.inner, 2, 2, 30)
    found = meter.read()
    assert found.limits == (Limited("/a/b", None, None, Counts(2, 2, 30 * MS)),)


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_does_not_know_that_nothing_was(tmp_path: Path, version: int) -> None:
    hidden = Hierarchy(tmp_path, version, in_container=True)
    meter = hidden.meter()
    assert (meter.read().ns, meter.read().to_root) == (None, False)
    hidden.limit(hidden.outer, 1000)
    hidden.count(hidden.outer, 1, 1, 5)
    assert meter.read().ns == 5 * MS, "at least"


@pytest.mark.parametrize(
    ("found", "moved", "words"),
    [
        (Groups(2, "/../x", ()), 0, "not visible"),
        (Groups(2, "/x", (Path("/no/such"),)), 0, "cannot be read"),
    ],
)
def test_what_is_not_known_is_not_zero(found: Groups, moved: int, words: str) -> None:
    throttling = QuotaMeter(found).read(moved)
    assert words in throttling.reason
    assert throttling.ns is None
    assert held_back.quota(throttling) == {"available": False, "reason": throttling.reason}


def test_who_was_moved_may_have_been_throttled_elsewhere(hierarchy: Hierarchy) -> None:
    meter = hierarchy.meter()
    assert meter.read(moved=1).ns is None
    assert "moved" in meter.read(moved=1).reason


@pytest.mark.parametrize("content", [b"", b"words\n", b"\xff\xfe", b"1_0 100000\n", b"9" * 5000])
def test_other_content_is_no_group_that_was_removed(hierarchy: Hierarchy, content: bytes) -> None:
    name = "cpu.max" if hierarchy.version == 2 else "cpu.cfs_quota_us"
    (hierarchy.outer / name).write_bytes(content)
    reason = hierarchy.meter().read().reason
    assert reason.startswith(f"{name} of a control group holds something else than the kernel")
    hierarchy.limit(hierarchy.outer, None)
    meter = hierarchy.meter()
    (hierarchy.outer / "cpu.stat").write_bytes(b"nr_periods " + content)
    reason = meter.read().reason
    assert reason.startswith("cpu.stat of a control group holds something else than the kernel")


def test_not_looked_at() -> None:
    assert Throttling(reason="why").ns is None
