"""``chainbench-agent runs``: what is kept is shown, exchanged and deleted."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fakes.kept import keep_in, pairs, single
from fakes.kept_groups import blocks, compared
from fakes.runs_command import Runs, listed_ids, table

from agent.show.command import show
from agent.store.documents import runs_of, series_of
from agent.store.opening import open_to_read
from agent.store.selection import Selection
from agent.store.store import Entry


def entry_id(document: dict[str, Any]) -> str:
    series = series_of(document)
    return series.id if series else runs_of(document, "run")[0].id


# --- show, export, import


def test_what_is_shown_is_what_show_prints(
    runs: Runs, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = single()
    keep_in(path, document)
    file = tmp_path / "run.json"
    runs("export", "last", "--output", file)
    shown = runs("show", document["run_id"][:8])
    assert shown.returncode == 0
    capsys.readouterr()
    assert show(str(file)) == 0
    assert shown.stdout in capsys.readouterr().out
    assert "Everything in the file" in runs("show", "last", "--all").stdout


def test_a_selector_shows_what_only_one_has(runs: Runs, path: Path) -> None:
    labels = [{**single()["labels"], "commit": commit} for commit in ("c0ffee", "c0ffee", "bead")]
    keep_in(path, *({**single(n), "labels": own} for n, own in enumerate(labels)))
    shown = runs("show", "commit=bead")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == runs("show", listed_ids(runs("list", "commit=bead"))[0]).stdout
    several = runs("show", "commit=c0ffee")
    assert (several.returncode, several.stdout) == (1, "")
    assert "2 have all of that (" in several.stderr
    assert all(run_id[:8] in several.stderr for run_id in listed_ids(runs("list", "commit=c0ffee")))
    assert "no kept run has all of that" in runs("show", "commit=none").stderr


def test_a_selector_shows_a_series_as_a_whole(runs: Runs, path: Path) -> None:
    keep_in(path, pairs(2))
    assert runs("show", "side=baseline").stdout == runs("show", "last").stdout


def test_a_series_is_exported_imported_and_known(runs: Runs, path: Path, tmp_path: Path) -> None:
    document = pairs(2)
    keep_in(path, document)
    exported = runs("export", "last")
    saved = json.loads(exported.stdout)
    assert [run["evidence"] for run in saved["runs"]] == [r["evidence"] for r in document["runs"]]
    elsewhere = tmp_path / "elsewhere.db"
    first = runs("import", "-", "--store", elsewhere, read=exported.stdout)
    assert (first.returncode, first.stderr) == (0, "")
    assert "4 runs imported" in first.stdout
    again = runs("import", "-", "--store", elsewhere, read=exported.stdout)
    assert "4 runs kept already" in again.stdout
    assert listed_ids(runs("list", "--store", elsewhere)) == listed_ids(runs("list"))
    assert runs("export", "last", "--store", elsewhere).stdout == exported.stdout
    with open_to_read(path) as one, open_to_read(elsewhere) as other:
        assert [r.source for r in one.find(Selection())] == ["run"] * 4
        assert [r.source for r in other.find(Selection())] == ["import"] * 4


def test_evidence_from_curl_is_imported_and_other_files_are_not(
    runs: Runs, path: Path, tmp_path: Path
) -> None:
    good, bad, gone = (tmp_path / name for name in ("good.json", "bad.json", "gone.json"))
    document = single()
    good.write_text(json.dumps({k: v for k, v in document.items() if k != "command"}))
    bad.write_text('{"status": "started"}')
    done = runs("import", bad, good, gone)
    assert done.returncode == 1
    assert done.stdout == f"{good}: 1 run imported ({document['run_id'][:8]})\n"
    assert f"cannot import {bad}: it is the answer to POST /start" in done.stderr
    assert f"cannot import {gone}: No such file or directory" in done.stderr
    changed = json.loads(good.read_text()) | {"duration_s": 77.0}
    good.write_text(json.dumps(changed))
    said = "1 run kept already with other content, which was left as it is"
    assert said in runs("import", good).stdout


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"available": True},
            "it is no evidence: it lacks any section, run_id, labels, started_at",
        ),
        ({"runqlat": 5}, "it is no evidence: it lacks any section, available, run_id"),
        ({"available": True, "offcpu": {}}, "it is no evidence: it lacks any section"),
        ({"available": False}, "nothing was measured, but lacks the reason"),
        ({**single(), "schema": 99}, "it is of schema 99, and this program knows those up to 1"),
        ({**single(), "schema": "1"}, "its schema is no number"),
    ],
)
@pytest.mark.parametrize("in_a_series", [False, True])
def test_what_shows_nothing_or_is_of_a_later_version_is_not_imported(
    runs: Runs, changes: dict[str, Any], why: str, in_a_series: bool
) -> None:
    document = changes
    if in_a_series:
        document = pairs(1)
        document["runs"][1]["evidence"] = changes
    done = runs("import", "-", read=json.dumps(document))
    assert done.returncode == 1
    assert why in done.stderr
    assert runs("list", "--json").stdout.count("run_id") == 0


def test_of_evidence_that_says_why_it_shows_nothing_the_reason_is_imported(runs: Runs) -> None:
    for document in (
        {"available": False, "reason": "no BTF"},
        {"available": True, "unavailable": {"runqlat": "no BTF"}},
        {"runqlat": {"count": 1}},
    ):
        assert runs("import", "-", read=json.dumps(document)).returncode == 0


def test_a_comparison_of_several_series_is_imported_as_one_document(runs: Runs, path: Path) -> None:
    """Its runs are no rounds of one series, whatever they are called."""
    document = compared(*blocks([100.0] * 6, [80.0] * 6))
    assert "12 runs imported" in runs("import", "-", read=json.dumps(document)).stdout
    [entry] = {run["series"] for run in json.loads(runs("list", "--json").stdout)["runs"]}
    assert runs("show", entry).returncode == 0
    with open_to_read(path) as store:
        assert {run.round for run in store.runs(Entry(entry, is_series=True))} == {None}


def test_several_are_exported_into_a_folder(runs: Runs, path: Path, tmp_path: Path) -> None:
    documents = [single(1, variant="x"), single(2, variant="x"), single(3)]
    keep_in(path, *documents)
    done = runs("export", "variant=x", "last", "--into", tmp_path)
    assert done.stdout == f"3 files written to {tmp_path}\n"
    for document in documents:
        [run] = runs_of(json.loads((tmp_path / f"{document['run_id']}.json").read_text()), "import")
        assert run.id == document["run_id"]


def test_a_file_that_is_written_is_said(runs: Runs, path: Path, tmp_path: Path) -> None:
    keep_in(path, single(1))
    file = tmp_path / "run.json"
    assert runs("export", "last", "--output", file).stdout == f"1 file written to {file}\n"


# --- delete, limits


@pytest.mark.parametrize("action", [["import", "-"], ["limits"]])
def test_an_agent_imports_nothing_and_has_its_limits_changed_by_its_owner(
    runs: Runs, action: list[str]
) -> None:
    done = runs(*action, "--agent", "http://127.0.0.1:9090")
    assert done.returncode == 2
    who = f"only list, show, export and delete ask an agent: {action[0]} as the user"
    assert who in done.stderr
    assert "--store DIR/runs.db" in done.stderr


def test_what_can_still_be_read_is_exported_and_the_rest_is_named(
    runs: Runs, path: Path, tmp_path: Path
) -> None:
    bad, good, series = documents = single(), single(), pairs(2)
    keep_in(path, *documents)
    with closing(sqlite3.connect(path)) as connection, connection:
        spoil = "UPDATE documents SET evidence = x'00112233' WHERE run IN (1, 4)"
        connection.execute(spoil)
    folder = tmp_path / "out"
    folder.mkdir()
    done = runs("export", "--since", "9999d", "--into", folder)
    assert done.returncode == 1
    written = {file.stem: json.loads(file.read_text()) for file in folder.iterdir()}
    assert set(written) == {entry_id(good), entry_id(series)}
    left = [run["evidence"]["run_id"] for run in written[entry_id(series)]["runs"]]
    second = series["runs"][1]["evidence"]["run_id"]
    assert left == [own for run in series["runs"] if (own := run["evidence"]["run_id"]) != second]
    for own in (entry_id(bad), second):
        assert f"run {own} is damaged" in done.stderr
    assert runs("import", folder / f"{entry_id(series)}.json").returncode == 0


def test_what_is_exported_is_json_for_strict_readers(runs: Runs, path: Path) -> None:
    odd = {**single(), "odd": [float("nan"), {"x": float("-inf")}, 1.5]}
    refused = runs("import", "-", read=json.dumps(odd))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "it is not JSON: odd[0] is no finite number" in refused.stderr
    keep_in(path, odd)  # as earlier versions imported it

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    exported = json.loads(runs("export", "last").stdout, parse_constant=refuse)
    assert exported["odd"] == [None, {"x": None}, 1.5]


def test_what_is_deleted_is_said(runs: Runs, path: Path) -> None:
    old, new, series = single(1), single(2, variant="x"), pairs(2, second=3)
    keep_in(path, old, new, series)
    own = listed_ids(runs("list"))[0]
    member = runs("delete", series["runs"][0]["evidence"]["run_id"])
    assert member.returncode == 1
    assert f"belongs to series {own}, which is deleted as a whole" in member.stderr
    assert runs("delete", "last").stdout == f"deleted 4 runs: series {own}\n"
    assert runs("delete", "variant=x").stdout == f"deleted 1 run: {new['run_id'][:8]}\n"
    assert runs("delete", "--until", "1h").stdout == f"deleted 1 run: {old['run_id'][:8]}\n"
    assert table(runs("list")) == []


def test_limits_are_printed_set_and_enforced(runs: Runs, path: Path) -> None:
    assert runs("limits").stdout == (f"days  365\nruns  10,000\nsize  1 GiB\nfile  {path}\n")
    assert not path.exists()
    keep_in(path, *(single(n) for n in range(4)))
    done = runs("limits", "--runs", 3, "--days", "none", "--size", "1.5M")
    assert done.stdout == (
        f"days  no limit\nruns  3\nsize  1.5 MiB\nfile  {path}\ndeleted 1 run beyond that\n"
    )
    assert runs("limits").stdout == f"days  no limit\nruns  3\nsize  1.5 MiB\nfile  {path}\n"
    assert len(table(runs("list"))) == 3


def test_a_schema_that_is_not_known_is_said_in_a_line(runs: Runs, path: Path) -> None:
    keep_in(path, single())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    for words in (["list"], ["show", "last"]):
        refused = runs(*words)
        assert (refused.returncode, refused.stdout) == (1, "")
        [line] = refused.stderr.splitlines()
        assert "is of schema 0" in line


def test_a_damaged_store_is_said_to_readers_and_put_aside_by_an_import(
    runs: Runs, path: Path, tmp_path: Path
) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"garbage" * 1000)
    done = runs("list")
    assert done.returncode == 1
    assert f"{path} is damaged, or no database" in done.stderr
    file = tmp_path / "one.json"
    file.write_text(json.dumps(single()))
    imported = runs("import", file)
    assert imported.returncode == 0
    assert imported.stderr.startswith("the store was damaged, and is now ")
    assert "1 run imported" in imported.stdout
    assert runs("import", file).stderr == ""
