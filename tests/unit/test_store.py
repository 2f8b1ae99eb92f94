"""The store: what is kept is found again, whole, and deleted as a whole."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.kept import kept, pairs, single
from fakes.sample_evidence import evidence
from hypothesis import given
from hypothesis import strategies as st

from agent.store.documents import document_of, runs_of
from agent.store.errors import NotFound, StoreError
from agent.store.opening import open_store
from agent.store.retention import Limits
from agent.store.selection import Selection, fields_of
from agent.store.store import Entry, Store

ALL = Selection()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "runs.db") as store:
        yield store


def keep(store: Store, *documents: dict[str, Any]) -> list[str]:
    """Keep documents; return the ids of their entries."""
    ids = []
    for document in documents:
        runs, series = kept(document)
        store.keep(runs, series)
        ids.append(series.id if series else runs[0].id)
    return ids


def found(store: Store, **chosen: Any) -> list[str]:
    return [run.id for run in store.find(Selection(**chosen))]


def test_a_run_is_read_as_it_was_kept(store: Store) -> None:
    document = single(commit="c0ffee")
    [own] = keep(store, document)
    [run] = store.runs(Entry(own, is_series=False))
    assert run.evidence == {name: document[name] for name in run.evidence}
    assert document_of([run], None) == {**document, "state": "finished"}
    [summary] = store.find(ALL)
    assert (summary.id, summary.wall_ms, summary.user_ms) == (own, 12.5, 3.25)
    assert (summary.exit_status, summary.max_resident_bytes) == (0, 2**20)
    assert (summary.verdict, summary.state, summary.source) == ("degraded", "finished", "run")
    assert summary.labels["commit"] == "c0ffee"
    assert (summary.kernel, summary.words) == ("6.1.0-28-amd64", "sh -c 'exit 0'")
    assert summary.at == 1772359200.0


def test_pairs_are_kept_as_pairs(store: Store) -> None:
    document = pairs(3)
    [own] = keep(store, document)
    series, runs = store.series(own), store.runs(Entry(own, is_series=True))
    assert [(run.side, run.round) for run in runs] == [
        (side, number) for number in range(3) for side in ("baseline", "optimized")
    ]
    again = document_of(runs, series)
    assert again["runs"] == [{**run, "state": "finished"} for run in document["runs"]]
    assert again["series"] == {**document["series"], "id": own}
    assert [run.id for run in runs_of(again, "import")] == [run.id for run in runs]


def test_what_is_kept_twice_is_there_once(store: Store) -> None:
    runs, series = kept(pairs(2))
    assert store.keep(runs, series).new == [run.id for run in runs]
    again = store.keep(runs, series)
    assert (again.new, again.known) == ([], [run.id for run in runs])
    assert len(found(store)) == 4


def test_other_content_under_a_known_id_is_reported_and_left(store: Store) -> None:
    [run], _ = kept(single())
    store.keep([run])
    done = store.keep([replace(run, evidence={**run.evidence, "duration_s": 99.0})])
    assert done.differing == [run.id]
    [stored] = store.runs(store.entry(run.id))
    assert stored.evidence == run.evidence


def test_a_partial_run_is_replaced_until_it_is_whole(store: Store) -> None:
    [run], _ = kept(single())
    store.keep([replace(run, state="partial", evidence={"run_id": run.id})])
    assert store.keep([replace(run, state="partial", wall_ms=1.0)]).replaced == [run.id]
    assert store.keep([run]).replaced == [run.id]
    assert store.keep([replace(run, state="partial")]).known == [run.id]
    [summary] = store.find(ALL)
    assert (summary.state, summary.wall_ms) == ("finished", 12.5)


def test_a_partial_run_is_not_replaced_by_a_file_that_is_partial_too(store: Store) -> None:
    [run] = runs_of({**single(), "state": "partial"}, "import")
    other = replace(run, evidence={**run.evidence, "duration_s": 99.0})
    store.keep([run])
    assert store.keep([run]).known == [run.id]
    assert store.keep([other]).differing == [run.id]
    assert store.runs(store.entry(run.id))[0].evidence == run.evidence
    assert store.keep([replace(other, state="finished")]).replaced == [run.id]


def test_what_the_command_took_is_added_to_evidence_that_lacks_it(store: Store) -> None:
    document = single()
    [with_command], _ = kept(document)
    [without], _ = kept({**with_command.evidence}, "import")
    store.keep([without])
    assert store.keep([with_command]).replaced == [with_command.id]
    assert store.keep([without]).known == [with_command.id]
    [stored] = store.runs(store.entry(with_command.id))
    assert stored.command == document["command"]


def test_all_runs_of_a_call_are_kept_or_none(store: Store) -> None:
    runs, series = kept(pairs(2))

    unpackable = replace(runs[-1], evidence={"x": object()})
    with pytest.raises(TypeError):
        store.keep([*runs[:-1], unpackable], series)
    assert found(store) == []
    assert store.series(series.id) is None if series else False


# --- finding


def test_the_newest_comes_first(store: Store) -> None:
    ids = keep(store, single(5), single(9), single(1))
    assert found(store) == [ids[1], ids[0], ids[2]]


def test_runs_are_found_by_label_verdict_and_time(store: Store) -> None:
    first, second = keep(store, single(1, variant="numpy"), single(2, variant="plain"))
    assert found(store, fields={"variant": "numpy"}) == [first]
    assert found(store, fields={"variant": "numpy", "commit": "x"}) == []
    assert found(store, fields={"verdict": "degraded"}) == [second, first]
    assert found(store, fields={"verdict": "complete"}) == []
    at = 1772359200.0
    assert found(store, since=at + 2) == [second]
    assert found(store, until=at + 2) == [first]
    assert found(store, id_prefix=second[:8]) == [second]


def test_runs_of_a_series_are_found_by_its_id(store: Store) -> None:
    _, own = keep(store, single(), pairs(2))
    assert len(found(store, fields={"series": own})) == 4
    assert len(found(store, fields={"series": own[:8]})) == 4
    assert len(found(store, fields={"series": own, "side": "baseline"})) == 2


def test_pages_follow_each_other(store: Store) -> None:
    ids = keep(store, *(single(n // 2) for n in range(7)))
    seen, before = [], None
    while page := list(store.find(Selection(limit=3, before=before))):
        seen += [run.id for run in page]
        before = (page[-1].at, page[-1].number)
    assert sorted(seen) == sorted(ids)
    assert seen == found(store)


def test_owners_see_their_own_runs_and_copies_can_be_left_out(store: Store) -> None:
    [mine], _ = kept(single(1))
    [others], _ = kept(single(2))
    store.keep([replace(mine, owner=1000), replace(others, owner=1001, copied=True)])
    assert found(store, owner=1000) == [mine.id]
    assert found(store, copies=False) == [mine.id]
    assert len(found(store)) == 2


def test_a_commit_is_found_by_its_beginning(store: Store) -> None:
    long = "ab12" * 10
    first, second = keep(store, single(1, commit=long), single(2, commit="ab99" * 10))
    assert found(store, fields={"commit": "ab12"}) == [first]
    assert found(store, fields={"commit": "ab99" * 10}) == [second]
    with pytest.raises(NotFound, match="is the beginning of ab12"):
        found(store, fields={"commit": "ab"})
    assert [run.id for run in store.select(Selection(fields={"commit": "ab12"}))] == [first]


def test_a_selector_is_fields_with_commas() -> None:
    assert fields_of("commit=abc,variant=a,b,scenario=") == {
        "commit": "abc",
        "variant": "a,b",
        "scenario": "",
    }
    for wrong in (
        "commit",
        "kommit=abc",
        "",
        "commit=a,commit=b",
        "=",
        "commit=a,x=b",
        "side=\udcff",
    ):
        with pytest.raises(StoreError):
            fields_of(wrong)


def test_entries_are_named_by_ids_and_beginnings_and_last(store: Store) -> None:
    own, series = keep(store, single(9), pairs(1, second=1))
    for text in (own, own[:8], own[:4], "last", "last~0"):
        assert store.entry(text) == Entry(own, is_series=False)
    for text in (series, series[:8], "last~1"):
        assert store.entry(text) == Entry(series, is_series=True)
    member = store.runs(Entry(series, is_series=True))[0].id
    assert store.entry(member) == Entry(member, is_series=False)


@pytest.mark.parametrize(
    ("text", "why"),
    [("last~2", "there is no last~2"), ("abc", "too short"), ("zzzz", "of no id"), ("", "short")],
)
def test_an_id_that_names_nothing_is_refused(store: Store, text: str, why: str) -> None:
    keep(store, single(1), single(2))
    with pytest.raises(NotFound, match=why):
        store.entry(text)


def test_a_beginning_of_two_ids_is_refused_with_both(store: Store) -> None:
    for name in ("same-beginning-1", "same-beginning-2", "same-beginning"):
        keep(store, {**single(), "run_id": name})
    with pytest.raises(NotFound, match="same-beginning, same-beginning-1, same-beginning-2"):
        store.entry("same-")
    assert store.entry("same-beginning").id == "same-beginning"


# --- deleting


def test_a_series_is_deleted_as_a_whole(store: Store) -> None:
    own, series = keep(store, single(), pairs(3))
    assert store.delete([Entry(series, is_series=True)]) == 6
    assert found(store) == [own]
    assert store.series(series) is None
    assert store.delete([store.entry("last")]) == 1
    assert found(store) == []


def test_a_run_of_a_series_is_not_deleted(store: Store) -> None:
    keep(store, pairs(2))
    member = next(store.find(ALL)).id
    assert store.delete([Entry(member, is_series=False)]) == 0
    assert len(found(store)) == 4


def test_a_label_like_sql_is_only_text(store: Store) -> None:
    [own] = keep(store, single(variant="x'; DROP TABLE runs; --"))
    assert found(store, fields={"variant": "x'; DROP TABLE runs; --"}) == [own]
    assert found(store, id_prefix="%") == []


# --- retention


def test_the_oldest_are_deleted_beyond_a_number(store: Store) -> None:
    store.set_limits(Limits(runs=5))
    first, series, last = keep(store, single(), pairs(2), single())
    # with the first there would be six, and a series stays whole
    assert first not in found(store)
    assert len(found(store)) == 5
    keep(store, single())
    assert len(found(store)) == 2
    assert store.series(series) is None
    assert last in found(store)


def test_what_is_kept_last_stays_however_large_it_is(store: Store) -> None:
    store.set_limits(Limits(runs=1, bytes=1))
    keep(store, single())
    runs, series = kept(pairs(3))
    assert store.keep(runs, series).deleted == 1
    assert len(found(store)) == 6


def test_size_is_that_of_the_documents(store: Store) -> None:
    size = next(iter(_sizes(store, single())))
    store.set_limits(Limits(bytes=size * 2.5))
    ids = keep(store, single(), single())
    assert sorted(found(store)) == sorted(ids)


def _sizes(store: Store, document: dict[str, Any]) -> list[int]:
    keep(store, document)
    return [run.bytes for run in store.find(ALL)]


def test_age_counts_from_when_a_run_was_kept(store: Store) -> None:
    store.set_limits(Limits(days=30))
    [old] = keep(store, {**single(), "started_at": "2001-01-01T00:00:00+00:00"})
    assert found(store) == [old]
    assert store.set_limits(Limits(days=0)) == 0  # the last one stays
    keep(store, single())
    assert old not in found(store)


DAY_S = 86400.0
THIS_YEAR = 1.78e9


def kept_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, *days: float, of: float = THIS_YEAR
) -> list[str]:
    """Keep a run on each day; return their ids."""
    ids = []
    for day in days:
        monkeypatch.setattr("time.time", lambda day=day: of + day * DAY_S)
        ids += keep(store, single())
    return ids


@pytest.mark.parametrize(
    ("days", "left"),
    [
        ((0, 1, 2, 402), 4),  # a clock that jumps ahead
        ((0, 1, 2, 402, 403, 404, 3, 4), 8),  # and is set right again
        ((-20_000, -20_000, 0, 1), 4),  # a boot without a clock
        ((0, 100, 200, -20_000, 300), 5),
        (tuple(range(0, 500, 20)), 19),  # nothing but time goes by
    ],
)
def test_a_clock_that_jumps_deletes_nothing(
    days: tuple[float, ...], left: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = kept_on(store, monkeypatch, *days)
    assert sorted(found(store)) == sorted(ids[-left:])


def test_limits_are_remembered(tmp_path: Path) -> None:
    limits = Limits(days=math.inf, runs=7, bytes=1e6)
    with open_store(tmp_path / "runs.db") as store:
        assert store.limits == Limits()
        store.set_limits(limits)
    with open_store(tmp_path / "runs.db") as store:
        assert store.limits == limits


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 400)), max_size=8), st.integers(1, 12))
def test_no_more_than_the_limit_is_kept_and_the_newest_are(
    entries: list[tuple[int, int]], most: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder, "runs.db")) as store:
        store.set_limits(Limits(runs=most))
        kept_ids: list[list[str]] = []
        for size, _ in entries:
            document = single() if size == 1 else pairs(size)
            runs, series = kept(document)
            store.keep(runs, series)
            kept_ids.append([run.id for run in runs])
        expected: list[str] = []
        for place, ids in enumerate(reversed(kept_ids)):
            if place and len(expected) + len(ids) > most:
                break
            expected += ids
        assert set(found(store)) == set(expected)


def test_evidence_of_any_shape_is_kept(store: Store) -> None:
    odd = evidence(manifest="none", completeness=3, started_at="yesterday", labels=[1])
    [run], _ = kept({**odd, "command": {"wall_ms": "long", "exit_status": 10**30, "arguments": 7}})
    store.keep([run])
    [summary] = store.find(ALL)
    assert (summary.wall_ms, summary.exit_status, summary.words) == (None, None, "")
