"""Lists and documents of kept runs, printed or written to files."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent import json_text
from agent.nouns import counted
from agent.runs.listing import listed
from agent.runs.which import Wanted, none_like
from agent.show.text import render
from agent.store.errors import StoreError
from agent.store.rows import Summary
from agent.terminal import output as terminal
from agent.terminal.files import save
from agent.terminal.values import printable
from agent.words import Json


def print_entries(entries: Sequence[Sequence[Summary]], most: int, wanted: Wanted) -> None:
    """Print a line for each of the first entries, and how many more there are; 0: all.

    Without entries, print that no run is as wanted: a heading by itself says nothing.
    """
    if not entries:
        terminal.write(f"{none_like(wanted)}\n")
        return
    shown = entries[: most or None]
    terminal.write(listed(shown, terminal.columns(sys.stdout)))
    if more := len(entries) - len(shown):
        terminal.write(f"{more} more: --limit 0 lists all\n")


def print_document(document: Json, everything: bool) -> None:
    """Print a run or a series as ``show`` prints its file."""
    color, width = terminal.wants_color(sys.stdout), terminal.columns(sys.stdout)
    terminal.write(render(document, width=width, color=color, everything=everything))


def write_documents(
    documents: Mapping[str, Json], output: Path | None, folder: Path | None
) -> None:
    """Write each document to a file of its name in ``folder``; or the only one to ``output``.

    With neither, print it. Raises `StoreError` for several without a folder, and for a file that
    cannot be written.
    """
    if folder is None and len(documents) > 1:
        raise StoreError(f"that is {counted(len(documents), 'file')}: say --into FOLDER")
    for name, document in documents.items():
        text = json.dumps(json_text.without_nan(document), indent=1, allow_nan=False) + "\n"
        target = folder / f"{name}.json" if folder else output
        if target is None:
            terminal.write(text)
        elif why := save(target, text):
            raise StoreError(f"cannot write {target}: {why}")
    if place := folder or output:
        terminal.write(f"{counted(len(documents), 'file')} written to {printable(place)}\n")
