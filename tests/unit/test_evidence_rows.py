"""Breakdowns in the evidence are bounded, and their rows add up to the total next to them."""

from dataclasses import replace
from typing import Any

import numpy as np
from fakes.collector import FakeCollector, stopped_with
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.totals import Counts
from agent.evidence.tasks import TaskTable
from agent.recording.collection import Collection
from agent.sections.exec.evidence import TOP_COMMANDS, ExecFold
from agent.sections.offcpu.evidence import TOP_REASONS
from agent.sections.syscall_counts.layout import COUNTED as COUNTED_SYSCALLS
from agent.streams.collect.observed import Observed
from agent.streams.collect.tables import Blocked, OpenWait, OpenWaits, Stops
from agent.streams.collect.task_summaries import SUMMARY_DTYPE, Summaries, none
from agent.streams.shared.layout import REASON_KERNEL_THREAD, REASONS


def of_run(section: str, made: Observed) -> Any:
    return Collection().evidence(stopped_with(made), [section])[section]


def observed(blocked: Blocked | None = None, syscalls: dict[str, int] | None = None) -> Observed:
    made = FakeCollector()._observed()
    return replace(made, blocked=blocked or made.blocked, syscalls=syscalls or {})


intervals = st.dictionaries(
    st.tuples(st.integers(0, 1), st.integers(0, REASONS - 1)),
    st.tuples(st.integers(0, 2**50), st.integers(1, 2**30)),
    max_size=60,
)


@given(intervals)
def test_off_cpu_reasons_add_up(given_: dict[tuple[int, int], tuple[int, int]]) -> None:
    ns, count = np.zeros((2, REASONS), np.uint64), np.zeros((2, REASONS), np.uint64)
    for place, (length, often) in given_.items():
        ns[place], count[place] = length, often
    section = of_run("offcpu", observed(Blocked(ns, count)))
    rows, other, states = section["top_reasons"], section["other"], section["by_state"]
    assert len(rows) <= TOP_REASONS
    user = {k: v for k, v in given_.items() if k[1] != REASON_KERNEL_THREAD}
    total_ms = sum(length for length, _ in user.values()) / 1e6
    slack = 1e-9 * total_ms + 1e-5
    assert abs(section["total_ms"] - total_ms) <= slack
    assert abs(sum(row["ms"] for row in rows) + other["ms"] - total_ms) <= slack
    assert sum(row["count"] for row in rows) + other["count"] == section["count"]
    for row in rows:
        parts = row["interruptible_ms"] + row["uninterruptible_ms"]
        assert abs(parts - row["ms"]) <= 1e-9 * row["ms"] + 1e-5
    assert abs(states["interruptible_ms"] + states["uninterruptible_ms"] - total_ms) <= slack
    assert [row["ms"] for row in rows] == sorted((row["ms"] for row in rows), reverse=True)
    apart = section["kernel_threads"]
    assert apart["count"] == int(count[:, REASON_KERNEL_THREAD].sum())


def test_a_stop_is_no_block_and_has_a_field_for_its_kind() -> None:
    stops = Stops(np.array([1, 2, 4, 0], np.uint64) * 10**6, np.array([1, 1, 5, 0], np.uint64), 3)
    section = of_run("offcpu", replace(observed(), stops=stops))
    assert section["total_ms"] == 0
    assert section["stopped_ms"] == 7
    assert section["stopped"] == {
        "count": 7,
        "throughout": 3,
        "by_signal_ms": 1,
        "traced_ms": 2,
        "frozen_ms": 4,
    }


def test_the_longest_open_wait_has_the_name_of_its_task() -> None:
    waits = OpenWaits(3, 1, 5 * 10**6, OpenWait(7, 4 * 10**6, older=True))
    stopped = stopped_with(replace(observed(), waiting=waits))
    alive = np.zeros(2, SUMMARY_DTYPE)
    alive["tid"], alive["comm"] = (6, 7), (b"other", b"hungry")

    def waiting(summaries: Summaries) -> Any:
        named = replace(stopped, summaries=summaries)
        return Collection().evidence(named, ["runqlat"])["runqlat"]["waiting_at_stop"]

    longest = {"tid": 7, "command": "hungry", "ms": 4.0, "began_before_run": True}
    whole = {"count": 3, "began_before_run": 1, "total_ms": 5.0, "longest": longest}
    assert waiting(alive) == whole
    # without a supervisor there are no summaries
    assert waiting(none())["longest"] == {**longest, "command": None}


def execs(names: list[bytes]) -> Any:
    words = np.zeros((len(names), 4), np.uint64)
    for row, name in zip(words, names, strict=True):
        row[1:3] = np.frombuffer(name.ljust(16, b"\0"), np.uint64)
    return words


@given(st.lists(st.binary(max_size=15), max_size=60))
def test_execs_add_up_under_any_names(names: list[bytes]) -> None:
    fold = ExecFold(False, TaskTable())
    if names:
        fold.take(execs(names))
    section = fold.evidence(stopped_with(observed()), ["exec"])
    assert len(section["top_commands"]) <= TOP_COMMANDS
    shown = sum(row["count"] for row in section["top_commands"])
    assert shown + section["other"] == section["exec_count"] == len(names)


def test_names_of_execs_are_bounded() -> None:
    fold = ExecFold(False, TaskTable())
    fold.take(execs([b"storm-%d" % i for i in range(5_000)]))
    assert len(fold.commands) <= 1_001
    assert fold.execs == sum(fold.commands.values()) == 5_000


names_of_calls = st.sampled_from([*COUNTED_SYSCALLS, "getppid", "compat", "syscall_511"])


@given(st.dictionaries(names_of_calls, st.integers(1, 2**60)))
def test_calls_by_name_add_up_to_what_metrics_count(calls: dict[str, int]) -> None:
    made = observed(syscalls=calls)
    section = of_run("syscall_counts", made)
    assert section["all"] == calls
    assert all(section[name] == calls.get(name, 0) for name in COUNTED_SYSCALLS)
    (totals,) = Collection().totals(made, ["syscall_counts"]).values()
    assert isinstance(totals, Counts)
    assert sum(totals.values.values()) == sum(calls.values())
