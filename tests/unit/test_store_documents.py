"""Documents as runs to keep, and back: of one run, of series, of whatever a file holds."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from fakes.any_json import JSON
from fakes.sample_evidence import evidence
from hypothesis import given
from hypothesis import strategies as st

from agent import json_text
from agent.show.series import is_series as shown_as_series
from agent.store.documents import document_of, is_series, runs_of, same_content, series_of
from agent.store.run import LABELS, KeptRun


def command(**changes: Any) -> dict[str, Any]:
    return {
        "arguments": ["true"],
        "exit_status": 0,
        "signal": None,
        "wall_ms": 12.0,
    } | changes


def one(**changes: Any) -> dict[str, Any]:
    return {**evidence(run_id=str(uuid4())), "command": command(), **changes}


def series(*runs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "series": {"commands": {"command": ["true"]}, "ended_by": "runs", **changes},
        "sides": {"command": {"runs": len(runs)}},
        "runs": list(runs),
    }


def member(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "side": "command",
        "round": number,
        "counts": True,
        "command": command(wall_ms=10.5 + number),
        "evidence": evidence(run_id=str(uuid4())),
    } | changes


def as_saved(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as it is after it was saved in a file and read again."""
    read = json_text.parse(json.dumps(document).encode())
    assert isinstance(read, dict)
    return read


def only(document: dict[str, Any]) -> KeptRun:
    [run] = runs_of(document, "import")
    return run


def test_the_evidence_of_a_command_is_one_run() -> None:
    document = one()
    run = only(document)
    assert run.id == document["run_id"]
    assert (run.series, run.side, run.round) == (None, None, None)
    assert (run.counts, run.source, run.state) == (True, "import", "finished")
    assert run.labels == {**document["labels"], "machine": "bench-1"}
    assert (run.started_at, run.wall_ms) == ("2026-03-01T10:11:12.000Z", 12.0)
    assert run.command == document["command"]
    assert {**run.evidence, "command": run.command} == document
    assert run.verdict == "degraded"
    assert series_of(document) is None


def test_the_runs_of_a_series_belong_together() -> None:
    document = series(member(1, side="baseline"), member(1, side="optimized"), member(2))
    runs = runs_of(document, "run")
    found = series_of(document)
    assert found is not None
    assert {run.series for run in runs} == {found.id}
    assert [(run.side, run.round) for run in runs] == [
        ("baseline", 0),
        ("optimized", 0),
        ("command", 1),
    ]
    assert found.summary == {"series": document["series"], "sides": document["sides"]}


def test_evidence_from_elsewhere_has_no_command() -> None:
    run = only(evidence(wall={"available": True, "wall_ms": 3.5}, labels=None, machine=None))
    assert run.command == {}
    assert run.wall_ms == 3.5
    assert run.labels == dict.fromkeys(LABELS, "")
    assert "command" not in document_of([run], None)


@pytest.mark.parametrize(
    ("changes", "counts", "state"),
    [
        ({}, True, "finished"),
        ({"exit_status": 3}, False, "finished"),
        ({"exit_status": None, "signal": "SIGINT"}, False, "aborted"),
    ],
)
def test_a_command_that_failed_does_not_count(
    changes: dict[str, Any], counts: bool, state: str
) -> None:
    run = only(one(command=command(**changes)))
    assert (run.counts, run.state) == (counts, state)


def test_a_run_that_somebody_else_ended_is_aborted() -> None:
    reasons = ["ended_early: another client ended it"]
    assert only(one(completeness={"verdict": "invalid", "reasons": reasons})).state == "aborted"


def test_the_run_that_a_signal_ended_is_aborted_and_failed_ones_are_not() -> None:
    failed = member(1, counts=False, command=command(exit_status=1))
    interrupted = member(2, counts=False, command=command(exit_status=130))
    runs = runs_of(series(failed, interrupted, ended_by="signal"), "run")
    assert [run.state for run in runs] == ["finished", "aborted"]


@pytest.mark.parametrize("state", ["partial", "aborted", "finished"])
def test_a_state_that_was_kept_is_read_again(state: str) -> None:
    run = only({**evidence(), "state": state})
    assert run.state == state
    assert "state" not in run.evidence
    assert only(document_of([run], None)).state == state


def test_ids_are_of_the_content_where_there_is_none() -> None:
    unmeasured = {"available": False, "reason": "no agent", "command": command(wall_ms=12.0)}
    first = only(unmeasured)
    assert UUID(first.id).version == 5
    assert first.verdict == "none"
    # what was saved in a file, with its numbers written as others write them, is the same run
    assert only(json.loads(json.dumps(unmeasured).replace("12.0", "12"))).id == first.id
    assert only({**unmeasured, "command": command(wall_ms=12.5)}).id != first.id


@pytest.mark.parametrize(
    "own", ["", "x", "last", "../../etc/passwd", "\x1b[31mred", 7, None, "a=b" * 4]
)
def test_ids_that_nobody_could_type_are_replaced(own: object) -> None:
    assert UUID(only(one(run_id=own)).id).version == 5


def test_runs_with_one_id_are_two_runs() -> None:
    shared = evidence(run_id="twice-used")
    ids = [run.id for run in runs_of(series(*(member(n, evidence=shared) for n in (1, 2))), "run")]
    assert ids[0] == "twice-used"
    assert UUID(ids[1]).version == 5


def test_a_label_that_no_database_takes_is_escaped() -> None:
    assert only(one(labels={"commit": "a\udcff"})).labels["commit"] == "a\\udcff"


@given(st.dictionaries(st.sampled_from(["command", "evidence", "round", "side", "counts"]), JSON))
def test_any_series_is_read_and_read_again(changes: dict[str, Any]) -> None:
    document = series(member(1), {**member(2), **changes})
    runs, found = runs_of(document, "import"), series_of(document)
    again = runs_of(as_saved(document_of(runs, found)), "import")
    for before, after in zip(runs, again, strict=True):
        assert (before.id, before.series) == (after.id, after.series)
        assert (before.side, before.round) == (after.side, after.round)
        assert (before.counts, before.state) == (after.counts, after.state)
        assert same_content(before, after)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_any_evidence_is_read_and_read_again(changes: dict[str, Any]) -> None:
    document = {"available": True, **changes}
    if is_series(document):
        return
    run = only(document)
    again = only(as_saved(document_of([run], None)))
    assert again.id == run.id
    assert same_content(run, again)
    assert (again.counts, again.wall_ms, again.labels) == (run.counts, run.wall_ms, run.labels)


def test_a_series_is_what_show_takes_for_one() -> None:
    for document in (series(member(1)), one(), {"series": None}, {"series": {}}):
        assert is_series(document) == shown_as_series(document)
