"""The number of label sets is limited: which are shown, hidden and forgotten, and who says so."""

import logging
from dataclasses import replace
from itertools import count

import pytest
from fakes.recording import REQUEST
from fakes.totals import Shown, run_totals

from agent.aggregate.one_series import Entry
from agent.aggregate.series import LabelSet, LastRun, Room, SeriesStore
from agent.model import Labels, Report
from agent.recording.recorder import Recorder

REPORT = Report(Labels(impl="python"), baseline_ms=1500.0, optimized_ms=1200.0, gain_pct=20.0)


def labels(commit: object, scenario: str = "baseline") -> LabelSet:
    return LabelSet.of(Labels(scenario=scenario, impl="python", commit=str(commit)), "host")


def commit(store: SeriesStore, *commits: object, execs: int = 1) -> None:
    for one in commits:
        store.commit(labels(one), run_totals(exec_count=execs), "success")


def commits(store: SeriesStore) -> list[str]:
    return [shown.commit for shown, _ in store]


def execs(store: SeriesStore, of: LabelSet) -> int | None:
    series = store.get(of)
    assert series is not None
    return Shown(series).exec_count


def test_the_label_set_that_was_idle_longest_is_hidden() -> None:
    store = SeriesStore(cap=2)
    commit(store, "a", "b", "a", "c")
    assert commits(store) == ["a", "c"]
    assert (store.hidden, store.label_sets_hidden) == (1, 1)


def test_nothing_is_sorted_for_a_label_set_that_there_is_room_for() -> None:
    """With thousands of them that would hold up the event loop at every start."""
    store = SeriesStore(cap=3)
    commit(store, "a", "b")
    read: list[LabelSet] = []

    class Watched(dict[LabelSet, Entry]):
        def __getitem__(self, key: LabelSet) -> Entry:
            read.append(key)
            return super().__getitem__(key)

    store._entries = Watched(store._entries)
    store.begin(labels("c"))
    assert {*read} == {labels("c")}


def test_one_that_comes_back_goes_on_where_it_was() -> None:
    clock = count(1000)
    store = SeriesStore(cap=1, now=lambda: float(next(clock)))
    last = LastRun(ended_at=1.5, verdict="degraded", figures={"f": {"50": 0.25}})
    store.commit(labels("a"), run_totals(exec_count=3, offcpu_ms=2.0), "success", last)
    before = store.get(labels("a"))
    commit(store, "b")
    assert store.get(labels("a")) is None
    store.begin(labels("a"))
    assert store.get(labels("a")) == before
    commit(store, "a", execs=4)
    assert execs(store, labels("a")) == 7
    series = store.get(labels("a"))
    assert series is not None
    assert (series.runs, series.created) == ({"success": 2, "fail": 0}, 1000.0)


def test_the_label_set_of_the_run_in_progress_is_never_hidden() -> None:
    store = SeriesStore(cap=4)
    store.begin(labels("running"))
    for number in range(10):
        assert store.report(labels(number), REPORT).shown
    store.set_live(labels("running"), run_totals(exec_count=5))
    assert execs(store, labels("running")) == 5
    assert len(store) == 4
    assert store.label_sets_refused == 0


def test_a_report_that_needs_more_than_the_limit_is_refused_and_changes_nothing() -> None:
    store = SeriesStore(cap=3)
    store.begin(labels("running"))
    before = list(store)
    assert store.report(labels("a"), REPORT) == Room(shown=False)
    assert list(store) == before
    assert (store.label_sets_refused, store.label_sets_hidden) == (1, 0)
    store.commit(labels("running"), {}, "fail")
    assert store.report(labels("a"), REPORT).hidden == (labels("running"),)


def test_beyond_what_is_remembered_the_first_are_forgotten_and_begin_anew() -> None:
    clock = count(1000)
    store = SeriesStore(cap=2, remembered=5, now=lambda: float(next(clock)))
    commit(store, *range(9))
    assert (len(store), store.hidden, store.label_sets_forgotten) == (2, 3, 4)
    commit(store, 0)
    series = store.get(labels(0))
    assert series is not None
    assert (series.created, Shown(series).exec_count) == (1009.0, 1)
    assert store.label_sets_forgotten == 5


@pytest.mark.thorough
def test_ten_thousand_label_sets_are_remembered_by_default() -> None:
    store = SeriesStore()
    commit(store, *range(10_001))
    assert (len(store), store.hidden, store.label_sets_forgotten) == (200, 9800, 1)


def test_a_limit_without_room_for_a_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SeriesStore(cap=0)


async def test_answers_and_the_log_say_that_a_label_set_was_hidden(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.recording.label_sets")
    recorder.series.cap = 3
    report = replace(REPORT, labels=Labels(impl="rust"))
    assert "label_sets_hidden" not in await recorder.start(REQUEST)
    assert recorder.report(report)["shown"] is False
    assert "--label-sets 4" in caplog.text
    await recorder.stop()
    assert recorder.report(report) == {"label_sets_hidden": 1}
    assert "'impl': 'python'" in caplog.text
    assert (await recorder.start(REQUEST))["label_sets_hidden"] == 1
