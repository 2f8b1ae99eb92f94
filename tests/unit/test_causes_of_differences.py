"""The cause of a difference: made-up pairs, of which all is known."""

from typing import Any

import pytest
from fakes.made_up_pairs import SLEEP, blocked, found, on_disk, run
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.comparison.changes import parts_of
from agent.comparison.designs import PAIRS
from agent.show.cause import cause as words

SERIAL = {"calls": {"futex": 40}}
FEWER = {"calls": {"futex": 4}}
CASES: list[tuple[str | None, dict[str, Any], dict[str, Any]]] = [
    ("more computing", {}, {"computing": 60.0}),
    (None, {}, {"computing": 60.0, "execs": 5}),
    (None, {}, {"computing": 60.0, "forks": 5}),
    (None, {}, {"computing": 60.0, "stolen": 25}),
    (None, {}, {"computing": 60.0, "cpu": 36.0}),
    ("less parallel", {"cpu": 60.0}, {"computing": 60.0, "cpu": 60.0}),
    (None, {"cpu": 60.0}, {"computing": 60.0, "cpu": 60.0, "waited": 35.0}),
    (
        "lock contention",
        {"cpu": 60.0, "sums": {"futex": 20.0}, **FEWER},
        {"computing": 60.0, "cpu": 60.0, "sums": {"futex": 90.0}, **SERIAL},
    ),
    (
        "less parallel",
        {"cpu": 60.0, "sums": {"futex": 20.0}, **FEWER},
        {"computing": 60.0, "cpu": 60.0, "sums": {"futex": 90.0}, **FEWER},
    ),
    (
        "lock contention",
        {"blocked": {SLEEP: 50.0}, "sums": {SLEEP: 100.0, "futex": 50.0}, **FEWER},
        {"blocked": {SLEEP: 100.0}, "sums": {SLEEP: 100.0, "futex": 190.0}, **SERIAL},
    ),
    ("competition for the CPU", {}, {"busy": 80.0}),
    (None, {}, {"busy": 80.0, "stolen": 40}),
    (None, {}, {"computing": 60.0, "busy": 80.0}),
    ("competition for the CPU", {"blocks": 0}, {"busy": 80.0, "blocks": 0}),
    ("competition for the CPU", {"blocks": 0}, {"busy": 80.0, "blocks": 1}),
    # each of many short waits for a disk, for example, is followed by one for the CPU
    (None, {}, {"busy": 80.0, "blocks": 300, "waits": 310}),
    (None, {}, {"busy": 80.0, "blocks": None}),
    # programs
    (
        "more programs started",
        {"execs": 1, "forks": 1},
        {"computing": 80.0, "execs": 60, "first": 40.0},
    ),
    # what started them computed more, and they did little
    (None, {}, {"computing": 80.0, "execs": 60, "first": 60.0}),
    (None, {"execs": 1}, {"computing": 60.0, "execs": 4, "first": 20.0}),
    # ten programs do not take 200 ms: something else computed
    (None, {"execs": 1}, {"computing": 220.0, "execs": 11, "first": 20.0}),
    (None, {"execs": 40}, {"computing": 80.0, "execs": 46, "first": 20.0}),
    (None, {}, {"computing": 80.0, "execs": 60, "first": 20.0, "stolen": 30}),
    (None, {}, {"computing": 80.0, "cpu": 32.0, "execs": 60, "first": 10.0}),
    # page faults
    ("page faults", {}, {"computing": 60.0, "system": 40.0, "faults": 20000}),
    ("more computing", {}, {"computing": 60.0, "system": 22.0, "faults": 20000}),
    ("more computing", {}, {"computing": 60.0, "system": 40.0, "faults": 1100}),
    (
        "more computing",
        {"calls": {"read": 100}},
        {"computing": 60.0, "system": 40.0, "faults": 20000, "calls": {"read": 3000}},
    ),
    (None, {}, {"computing": 60.0, "system": 40.0, "faults": 20000, "stolen": 25}),
    ("page faults", {}, on_disk("page_fault", 60.0, 200)),
    ("page faults", on_disk("page_fault", 6.0, 20), on_disk("page_fault", 60.0, 200)),
    # memory.high, for example
    (None, {}, blocked("page_fault", 60.0)),
    # the hypervisor
    ("the hypervisor", {}, {"computing": 60.0, "stolen": 40}),
    ("the hypervisor", {}, {"busy": 60.0, "stolen": 60}),
    ("the hypervisor", {}, {"idle": 60.0, "stolen": 50}),
    # it takes more from who computes more
    (None, {"stolen": 10}, {"computing": 60.0, "stolen": 30}),
    # for an idle CPU
    ("slower wake-ups", {"waits": 1000}, {"waits": 1000, "idle": 40.0, "waited": 45.0}),
    (None, {"waits": 1000}, {"waits": 9000, "idle": 40.0, "waited": 45.0}),
    (None, {"waits": 1000}, {"waits": 1000, "idle": 40.0, "waited": 1.0}),
    # most of it before the wake-ups had arrived
    ("slower wake-ups", {"waits": 1000}, {"waits": 1000, "idle": 40.0, "waking": 39.0}),
    (None, {"waits": 1000}, {"waits": 1000, "idle": 40.0, "waited": 45.0, "waking": None}),
    (None, {"waits": 1000}, {"waits": 1000, "idle": 40.0, "waited": 45.0, "stolen": 20}),
    # a quota that is used up, and a CPU that is idle when it is renewed
    (None, {"waits": 1000}, {"waits": 1000, "idle": 40.0, "waited": 45.0, "preempted": 40.0}),
    (None, {}, {"idle": 80.0}),
    # a quota, and CPUs that others have, or nobody, when it is renewed
    ("CPU quota", {}, {"busy": 80.0, "throttled": 75.0}),
    ("CPU quota", {}, {"idle": 80.0, "throttled": 75.0, "preempted": 75.0, "waited": 75.0}),
    ("CPU quota", {"throttled": 1.0}, {"idle": 80.0, "computing": 40.0, "throttled": 75.0}),
    (None, {}, {"busy": 80.0, "throttled": 30.0}),
    (None, {}, {"busy": 80.0, "throttled": None}),
    (
        None,
        {"waits": 1000},
        {"waits": 1000, "idle": 40.0, "waited": 45.0, "throttled": None},
    ),
    (
        "more syncs",
        {"blocked": {"fsync": 10.0}, "calls": {"fsync": 10}},
        {"blocked": {"fsync": 60.0}, "calls": {"fsync": 58}},
    ),
    (
        None,
        {"blocked": {"fsync": 10.0}, "calls": {"fsync": 10}},
        {"blocked": {"fsync": 60.0}, "calls": {"fsync": 11}},
    ),
    ("more syncs", {}, {"blocked": {"fsync": 60.0}, "calls": {"fsync": 11}}),
    ("sleeping", {"blocked": {SLEEP: 10.0}}, {"blocked": {SLEEP: 60.0}}),
    ("sleeping", {}, {"blocked": {"nanosleep": 60.0}}),
    # a helper's ticks, while the others wait for something else
    (None, {}, {"blocked": {SLEEP: 60.0}, "sums": {SLEEP: 60.0, "recvfrom": 60.0}}),
    # disks
    ("more I/O", on_disk("pread64", 5.0, 10), on_disk("pread64", 50.0, 98)),
    ("more I/O", {}, on_disk("read", 50.0, 98)),
    ("more I/O", on_disk("openat", 0.1, 0), on_disk("openat", 50.0, 98)),
    ("slower device", on_disk("pread64", 5.0, 30), on_disk("pread64", 50.0, 30)),
    ("slower device", on_disk("fsync", 5.0, 30), on_disk("fsync", 50.0, 30)),
    ("slower device", on_disk("page_fault", 5.0, 30), on_disk("page_fault", 50.0, 30)),
    # three times as many, and each takes three times as long
    (None, on_disk("pread64", 5.0, 30), on_disk("pread64", 50.0, 95)),
    # before its requests were made: throttled, or a lock of the file system
    (None, on_disk("pread64", 5.0, 30), on_disk("pread64", 50.0, 30, io=5.0)),
    (None, {}, on_disk("write", 50.0, 30, io=5.0)),
    # the disk of a helper, while the others wait for something else
    (None, {}, on_disk("read", 60.0, 90, sums={"read": 60.0, "recvfrom": 60.0})),
    (None, {}, on_disk(SLEEP, 60.0, 90, sums={SLEEP: 60.0, "io_worker": 60.0})),
    (None, {}, on_disk("futex", 60.0, 90)),
    (None, {}, on_disk("poll", 60.0, 90)),
    # others
    ("waiting for others", {}, blocked("recvfrom", 60.0)),
    ("waiting for others", blocked("read", 20.0), blocked("read", 70.0)),
    ("waiting for others", {}, blocked("read", 60.0, sums={"read": 60.0, "futex": 200.0})),
    (None, {}, blocked("read", 60.0, uninterruptible=1.0)),
    (None, {}, blocked("read", 60.0, requests=50, io=40.0, uninterruptible=0.5)),
    (None, {}, blocked("read", 60.0, sums={"read": 60.0, "recvmsg": 60.0})),
    (None, {}, blocked("read", 60.0, calls={"timerfd_settime": 1})),
    # two tasks of the run that talk to each other, through a thread of the kernel perhaps
    (None, {}, blocked("read", 60.0, sums={"read": 150.0})),
    ("waiting for events", {}, blocked("poll", 60.0)),
    ("waiting for events", {}, blocked("epoll_wait", 60.0)),
    (None, {}, blocked("poll", 60.0, sums={"poll": 60.0, "read": 60.0})),
    (None, {}, blocked("io_getevents", 60.0)),
    (None, {}, blocked("futex", 60.0)),
    # stopped
    ("stopped", {}, {"stopped": 60.0}),
    (None, {}, {"stopped": 30.0, "blocked": {SLEEP: 31.0}, "busy": 31.0}),
    (None, {}, {"blocked": {SLEEP: 20.0}, "computing": 40.0, "busy": 20.0}),
    (None, {}, {}),
]


@pytest.mark.parametrize(("name", "before", "after"), CASES)
def test_each_cause_and_its_absence_in_both_directions(
    name: str | None, before: dict[str, Any], after: dict[str, Any]
) -> None:
    forth, back = found(before, after), found(after, before)
    assert forth["name"] == back["name"] == name
    assert (forth["name"] is None) == bool(forth["why_none"])
    assert forth["part"] == back["part"]


def test_a_part_below_half_decides_nothing() -> None:
    assert found({}, {"blocked": {SLEEP: 26.0}, "busy": 25.0})["name"] == "sleeping"
    less = found({}, {"blocked": {SLEEP: 20.0}, "busy": 18.0, "idle": 15.0})
    assert (less["name"], less["why_none"]) == (None, "no large part")


def test_what_is_not_known_names_nothing() -> None:
    slept = {"blocked": {SLEEP: 60.0}}
    assert found({}, slept, pairs=5)["why_none"] == "too small", "there is no interval"
    assert found({"failing": True}, slept)["why_none"] == "too few budgets"
    # what has no row may have been blocked for as long
    unlisted = found({"other": 5.0, "unlisted": 6.0}, slept)
    assert (unlisted["name"], unlisted["why_none"]) == (None, "parts unknown")
    assert "not all parts of the wall time are known" in words({"cause": unlisted})
    assert found({}, {"computing": 60.0, "forks": None})["name"] is None
    assert found({}, {"computing": 60.0, "stolen": 0} | {"execs": None})["name"] is None
    synced = {"blocked": {"fsync": 60.0}}
    assert found({"calls": None}, {**synced, "calls": None})["name"] is None


def test_what_no_task_was_blocked_for_is_none_of_what_has_no_row() -> None:
    """A client that ends its own run waits for the answer, which no row has."""
    burnt, slept = {"computing": 180.0, "other": 7.0}, {"blocked": {SLEEP: 320.0}, "other": 6.0}
    forth, back = found(burnt, slept), found(slept, burnt)
    assert forth["name"] == back["name"] == "sleeping"
    assert forth["part"] == f"blocked: {SLEEP}"
    hardly = [run(n, other=7.0, unlisted=0.1)[0] for n in range(2)]
    assert [one.part(f"blocked: {SLEEP}") for one in hardly if one] == [0.0, 0.0]


def test_what_was_blocked_at_the_end_is_a_part() -> None:
    cause = found({"other": 5.0}, {"other": 300.0})
    assert (cause["part"], cause["why_none"]) == ("blocked_other", "no cause fits")
    assert "blocked at the end or for reasons not listed" in words({"cause": cause})
    budgets = [[run(n, other=ms)[0] for n in range(10)] for ms in (5.0, 300.0)]
    named = {one["name"]: one["difference_ms"]["middle"] for one in parts_of(PAIRS, *budgets)}
    assert named["blocked_other"] == pytest.approx(295)


def test_below_twice_the_detectable_there_is_none() -> None:
    small = found({"blocked": {SLEEP: 60.0}}, {"blocked": {SLEEP: 60.4}})
    assert (small["name"], small["why_none"]) == (None, "too small")
    assert small["detectable_ms"] > 0


@settings(max_examples=20)
@given(
    st.fixed_dictionaries({"computing": st.floats(1, 200), "busy": st.floats(0, 200)}),
    st.fixed_dictionaries({"computing": st.floats(1, 200), "busy": st.floats(0, 200)}),
    st.floats(0, 200),
)
def test_a_named_part_is_half_of_the_difference_or_more_both_ways(
    before: dict[str, Any], after: dict[str, Any], slept: float
) -> None:
    after = {**after, "blocked": {SLEEP: slept}}
    forth, back = found(before, after), found(after, before)
    for one in (forth, back):
        assert one["part_ms"] is None or 2 * one["part_ms"] >= abs(one["difference_ms"]["middle"])
    # jitter is another one the other way round: only what is found both times must be alike
    if forth["name"] and back["name"]:
        assert forth["name"] == back["name"]


def test_what_the_causes_of_waiting_rest_on_has_to_be_known() -> None:
    read = on_disk("read", 60.0, 90)
    assert found({}, {**read, "requests": None})["name"] is None
    assert found({}, blocked("read", 60.0, calls=None))["name"] is None
    woken = {"waits": 1000, "idle": 40.0, "waited": 45.0}
    assert found({"waits": 1000}, {**woken, "preempted": None})["name"] is None
    assert found({}, {"computing": 80.0, "execs": None})["name"] is None
