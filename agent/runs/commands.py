"""What ``chainbench-agent runs`` does. Each function returns an exit status."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.nouns import counted
from agent.runs.listing import LISTED, as_json, grouped
from agent.runs.printing import print_document, print_entries, write_documents
from agent.runs.readable import what_can_be_read
from agent.runs.which import Wanted, check_one, entries_of, selection_of
from agent.store.documents import document_of, runs_of, series_of
from agent.store.errors import Damaged, NoStore, StoreError
from agent.store.opening import open_store, open_to_read
from agent.store.retention import Limits
from agent.store.run import IMPORT, SHORT
from agent.store.store import Entry, Kept, Store
from agent.terminal import output as terminal
from agent.terminal.files import named_twice
from agent.terminal.values import printable, size
from agent.words import Json

NOTHING_YET = "no runs are kept yet: chainbench-agent run keeps what it measures\n"


def list_runs(path: Path, wanted: Wanted, most: int | None, as_document: bool) -> int:
    """Print the selected runs, the newest first."""
    try:
        with open_to_read(path) as store:
            entries = grouped(store.find(selection_of(wanted)))
    except NoStore:
        entries = []
        if not as_document:
            terminal.write(NOTHING_YET)
            return 0
    if as_document:
        terminal.write(json.dumps(as_json(entries[: most or None]), indent=1) + "\n")
    else:
        print_entries(entries, LISTED if most is None else most, wanted)
    return 0


def show_run(path: Path, name: str, everything: bool) -> int:
    """Print the run or the series that is named, as ``show`` prints its file."""
    with open_to_read(path) as store:
        entries = entries_of(store, Wanted([name]))
        check_one([entry.id for entry in entries])
        document = _document(store, entries[0])
    print_document(document, everything)
    return 0


def export_runs(path: Path, wanted: Wanted, output: Path | None, folder: Path | None) -> int:
    """Write documents that ``show``, ``compare`` and ``runs import`` read.

    What is damaged is left out, also of a series, and named; the status is 1 then.
    """
    if output is not None and named_twice([output], [path]):
        raise StoreError(f"cannot write {output}: the runs are kept in it")
    damaged: list[Damaged] = []
    with open_to_read(path) as store:
        entries = entries_of(store, wanted)
        found = [(entry.id, what_can_be_read(store, entry, damaged)) for entry in entries]
    for error in damaged:
        terminal.complain(f"cannot export all: {printable(error, 1000)}\n")
    documents = {name: document for name, document in found if document is not None}
    if documents or not damaged:
        write_documents(documents, output, folder)
    return 1 if damaged else 0


def delete_runs(path: Path, wanted: Wanted) -> int:
    """Delete runs and series, and say which."""
    with open_to_read(path) as store:
        entries = entries_of(store, wanted)
        _refuse_members(store, entries)
        deleted = store.delete(entries)
    terminal.write(f"deleted {counted(deleted, 'run')}: {_names(entries)}\n")
    return 0


def import_files(path: Path, files: Sequence[str]) -> int:
    """Keep the runs of files; return 1 if one of them holds none."""
    failed = False
    with open_store(path, _say_damaged) as store:
        for file in files:
            try:
                done, entry = _import(store, _read(file))
            except StoreError as error:
                failed = True
                terminal.complain(f"cannot import {printable(file)}: {printable(error, 1000)}\n")
                continue
            terminal.write(f"{printable(file)}: {_imported(done)} ({entry.id[:SHORT]})\n")
    return 1 if failed else 0


def show_limits(path: Path, changes: Json) -> int:
    """Change how much is kept, if there are changes, and print it."""
    deleted = 0
    if changes:
        with open_store(path, _say_damaged) as store:
            limits = store.limits._replace(**changes)
            deleted = store.set_limits(limits)
    else:
        try:
            with open_to_read(path) as store:
                limits = store.limits
        except NoStore:
            limits = Limits()
    terminal.write(
        f"days  {_amount(limits.days)}\nruns  {_amount(limits.runs)}\n"
        f"size  {_amount(limits.bytes) if math.isinf(limits.bytes) else size(limits.bytes)}\n"
        f"file  {printable(path)}\n"
    )
    if deleted:
        terminal.write(f"deleted {counted(deleted, 'run')} beyond that\n")
    return 0


def _document(store: Store, entry: Entry) -> Json:
    series = store.series(entry.id) if entry.is_series else None
    return document_of(store.runs(entry), series)


def _refuse_members(store: Store, entries: Sequence[Entry]) -> None:
    """Raise `StoreError` for a run of a series: the rest of it would mean something else."""
    for entry in entries:
        series = None if entry.is_series else store.runs(entry)[0].series
        if series is not None and Entry(series, is_series=True) not in entries:
            raise StoreError(
                f"run {entry.id} belongs to series {series[:SHORT]}, which is deleted as a whole"
            )


def _read(file: str) -> Json:
    """Return the document in a file. Raises `StoreError`."""
    from agent.show.reading import NotEvidence, evidence_at, wrong_with_schema

    try:
        document = evidence_at(file)
    except OSError as error:
        raise StoreError(error.strerror or str(error)) from error
    except NotEvidence as error:
        raise StoreError(str(error)) from error
    if wrong := wrong_with_schema(document):
        raise StoreError(wrong)
    return document


def _import(store: Store, document: Json) -> tuple[Kept, Entry]:
    runs, series = runs_of(document, IMPORT), series_of(document)
    if not runs:
        raise StoreError("the series in it has no runs")
    if series is None:
        return store.keep(runs), Entry(runs[0].id, is_series=False)
    # also those of a comparison of several series: it is kept as one document
    own = [replace(run, series=series.id) for run in runs]
    return store.keep(own, series), Entry(series.id, is_series=True)


def _imported(done: Kept) -> str:
    """Return what became of the runs of one file."""
    said = {
        "imported": len(done.new) + len(done.replaced),
        "kept already": len(done.known),
        "kept already with other content, which was left as it is": len(done.differing),
    }
    parts = [f"{counted(number, 'run')} {what}" for what, number in said.items() if number]
    if done.deleted:
        parts.append(f"{counted(done.deleted, 'older run')} deleted (runs limits)")
    return ", ".join(parts)


def _names(entries: Sequence[Entry]) -> str:
    return ", ".join(
        f"series {entry.id[:SHORT]}" if entry.is_series else entry.id[:SHORT] for entry in entries
    )


def _amount(value: float) -> str:
    return "no limit" if math.isinf(value) else f"{value:,.6g}"


def _say_damaged(aside: Path) -> None:
    terminal.complain(f"the store was damaged, and is now {printable(aside)}: a new one is begun\n")
