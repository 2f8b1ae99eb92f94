"""The store behind /metrics: runs accumulate, no counter falls, and label sets are not mixed."""

from dataclasses import replace

import pytest
from fakes.totals import Shown, run_totals
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.series import LabelSet, Series, SeriesStore
from agent.aggregate.totals import LATENCY_BOUNDS_US, LatencyTotals
from agent.model import Labels, Report

CELLS = len(LATENCY_BOUNDS_US) + 1


def labels(scenario="baseline", impl="python"):
    return LabelSet.of(Labels(scenario=scenario, impl=impl), machine="host")


def latency(count, cell=3):
    buckets = [0] * CELLS
    buckets[cell] = count
    return LatencyTotals(tuple(buckets), 8.0 * count, count)


def totals(n, **changes):
    everything = {
        "runqlat": latency(n),
        "biolatency": latency(2 * n, cell=7),
        "offcpu_ms": 10.0 * n,
        "exec_count": n,
        "syscalls": {"futex": n, "other": 3 * n},
    }
    return run_totals(**{**everything, **changes})


def shown(store, wanted):
    series = store.get(wanted)
    assert series is not None
    return Shown(series)


REPORT = Report(
    labels=Labels(impl="python"), baseline_ms=1500.0, optimized_ms=1200.0, gain_pct=20.0
)


def test_a_label_set_takes_the_runners_labels_and_the_machine():
    given_labels = Labels(scenario="s", impl="i", variant="v", commit="c", dataset="d")
    assert LabelSet.of(given_labels, "m") == LabelSet("s", "i", "v", "c", "m", "d")


def test_latency_totals_add_cell_by_cell():
    added = latency(2, cell=0).plus(latency(5, cell=20))
    assert added == LatencyTotals((2, *[0] * 19, 5), 56.0, 7)


def test_a_running_run_shows_and_is_replaced_by_its_later_self():
    store = SeriesStore()
    store.set_live(labels(), totals(1))
    store.set_live(labels(), totals(4))
    series = shown(store, labels())
    assert (series.runqlat, series.biolatency) == (latency(4), latency(8, cell=7))
    assert (series.exec_count, series.offcpu_ms) == (4, 40.0)
    assert series.syscalls == {"futex": 4, "other": 12}
    assert series.runs == {"success": 0, "fail": 0}


def test_runs_with_the_same_labels_accumulate():
    store = SeriesStore()
    store.set_live(labels(), totals(1))
    store.commit(labels(), totals(2), "success")
    store.commit(labels(), totals(5), "fail")
    store.set_live(labels(), totals(1))
    series = shown(store, labels())
    assert (series.runqlat, series.exec_count) == (latency(8), 8)
    assert series.syscalls == {"futex": 8, "other": 24}
    assert series.runs == {"success": 1, "fail": 1}


def test_off_cpu_time_is_of_the_latest_run_alone():
    store = SeriesStore()
    store.commit(labels(), totals(5), "success")
    assert shown(store, labels()).offcpu_ms == 50.0
    store.set_live(labels(), totals(1))
    assert shown(store, labels()).offcpu_ms == 10.0
    store.commit(labels(), totals(2, offcpu_ms=None), "success")
    assert shown(store, labels()).offcpu_ms is None


def test_a_section_that_one_run_did_not_measure_keeps_what_others_counted():
    store = SeriesStore()
    store.commit(labels(), run_totals(exec_count=0), "success")
    assert shown(store, labels()).runqlat is None
    assert shown(store, labels()).exec_count == 0
    store.commit(labels(), totals(3), "success")
    store.commit(labels(), run_totals(), "fail")
    series = shown(store, labels())
    assert (series.runqlat, series.exec_count) == (latency(3), 3)
    assert series.syscalls == {"futex": 3, "other": 9}


def test_syscalls_of_runs_that_counted_different_ones_are_all_kept():
    store = SeriesStore()
    store.commit(labels(), run_totals(syscalls={"futex": 1}), "success")
    store.commit(labels(), run_totals(syscalls={"read": 2, "futex": 4}), "success")
    assert shown(store, labels()).syscalls == {"futex": 5, "read": 2}


def test_label_sets_are_kept_apart_and_in_order():
    store = SeriesStore()
    store.commit(labels("b"), totals(1), "success")
    store.commit(labels("a"), totals(2), "success")
    assert [(seen.scenario, Shown(series).exec_count) for seen, series in store] == [
        ("b", 1),
        ("a", 2),
    ]
    assert len(store) == 2


def test_a_run_that_was_never_committed_leaves_its_numbers_but_is_not_counted():
    store = SeriesStore()
    store.set_live(labels("a"), totals(3))
    store.set_live(labels("b"), totals(1))
    store.set_live(labels("a"), totals(2))
    series = shown(store, labels("a"))
    assert (series.exec_count, series.runs) == (5, {"success": 0, "fail": 0})


@pytest.mark.parametrize(
    "fallen",
    [
        totals(4),
        run_totals(),
        totals(5, runqlat=LatencyTotals(latency(9, cell=4).bucket_counts, 99.0, 9)),
        totals(5, runqlat=replace(latency(5), sum_us=39.0)),
        totals(5, syscalls={"futex": 100}),
    ],
    ids=["all", "no longer measured", "one bucket", "the sum", "one syscall"],
)
def test_a_section_that_falls_within_a_run_stays_as_it_was(fallen):
    store = SeriesStore()
    store.set_live(labels(), totals(5))
    store.commit(labels(), fallen, "success")
    series = shown(store, labels())
    assert (series.runqlat, series.exec_count) == (latency(5), 5)
    assert series.syscalls == {"futex": 5, "other": 15}


def test_a_syscall_that_was_never_made_does_not_disappear():
    store = SeriesStore()
    store.set_live(labels(), totals(5, syscalls={"futex": 0}))
    store.set_live(labels(), totals(5, syscalls={}))
    assert shown(store, labels()).syscalls == {"futex": 0}


def test_a_report_sets_a_duration_for_each_scenario_and_the_gain_for_none():
    store = SeriesStore()
    store.report(labels(""), REPORT)
    assert shown(store, labels("baseline")).series.duration_ms == 1500.0
    assert shown(store, labels("optimized")).series.duration_ms == 1200.0
    assert shown(store, labels("")).series.gain_pct == 20.0
    store.report(labels(""), replace(REPORT, gain_pct=-3.0))
    assert shown(store, labels("")).series.gain_pct == -3.0
    assert len(store) == 3


def test_a_report_and_a_run_share_their_series():
    store = SeriesStore()
    store.commit(labels("baseline"), totals(2), "success")
    store.report(labels(""), REPORT)
    series = shown(store, labels("baseline"))
    assert (series.exec_count, series.series.duration_ms) == (2, 1500.0)
    assert shown(store, labels("")).runs == {}


def test_a_series_in_which_nothing_changed_is_the_same_object():
    store = SeriesStore()
    store.set_live(labels(), totals(1))
    first = shown(store, labels())
    store.set_live(labels(), totals(1))
    assert shown(store, labels()).series is first.series
    store.set_live(labels(), totals(2))
    second = shown(store, labels()).series
    assert second is not first.series
    store.commit(labels("other"), totals(2), "success")
    assert shown(store, labels()).series is second
    assert first.exec_count == 1, "a series that was handed out does not change"


counts = st.integers(0, 5)
sections = st.builds(
    run_totals,
    runqlat=st.none() | st.builds(latency, counts, st.integers(0, CELLS - 1)),
    biolatency=st.none() | st.builds(latency, counts, st.integers(0, CELLS - 1)),
    offcpu_ms=st.none() | st.floats(0, 10),
    exec_count=st.none() | counts,
    syscalls=st.none() | st.dictionaries(st.sampled_from(["futex", "read", "other"]), counts),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["live", "success", "fail", "report"]),
        st.sampled_from(["", "baseline", "optimized", "x", "y"]),
        sections,
    ),
    max_size=25,
)


def counters(given: Series):
    series = Shown(given)
    found = {("exec",): series.exec_count}
    for result, count in series.runs.items():
        found["runs", result] = count
    for name, count in (series.syscalls or {}).items():
        found["syscalls", name] = count
    for name in ("runqlat", "biolatency"):
        latencies = getattr(series, name)
        if latencies is not None:
            assert latencies.count == sum(latencies.bucket_counts)
            found[name, "sum"] = latencies.sum_us
            found |= {(name, cell): n for cell, n in enumerate(latencies.bucket_counts)}
    return {name: value for name, value in found.items() if value is not None}


@given(steps)
def test_nothing_that_is_shown_ever_falls(sequence):
    """With room for four of five label sets: one that comes back goes on where it was."""
    store = SeriesStore(cap=4)
    before = {}
    for step, scenario, counted in sequence:
        wanted = labels(scenario)
        if step == "report":
            store.report(wanted, REPORT)
        elif step == "live":
            store.set_live(wanted, counted)
        else:
            store.commit(wanted, counted, step)
        after = {seen: counters(series) for seen, series in store}
        for seen in before.keys() & after.keys():
            assert before[seen].keys() <= after[seen].keys()
            assert all(after[seen][name] >= value for name, value in before[seen].items())
        assert len(store) <= 4
        assert len(store) + store.hidden == len(before | after)
        before |= after


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=4), max_size=6))
def test_what_is_shown_is_the_sum_of_the_runs(runs):
    store = SeriesStore()
    for steps_of_run in runs:
        ascending = sorted(steps_of_run)
        for n in ascending[:-1]:
            store.set_live(labels(), totals(n))
        store.commit(labels(), totals(ascending[-1]), "success")
    if runs:
        series = shown(store, labels())
        assert series.runqlat == latency(sum(map(max, runs)))
        assert series.runs == {"success": len(runs), "fail": 0}
