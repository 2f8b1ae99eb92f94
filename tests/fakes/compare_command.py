"""What tests of the command `compare` share: two commands, and their runs, kept or saved."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.store.documents import runs_of, series_of
from agent.store.opening import open_store
from agent.store.place import default_path

OLD = [100.0, 101.5, 99.2, 100.7, 101.1, 99.6, 100.3, 98.9, 101.8, 100.1]
NEW = [ms * 0.9 + wobble for ms, wobble in zip(OLD, (0.3, -0.2, 0.1, -0.4, 0.2) * 2, strict=True)]


def saved(folder: Path, name: str, document: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def keep(document: Any) -> str:
    """Keep a document as `run` does; return the id of the series."""
    series = series_of(document)
    with open_store(default_path()) as store:
        store.keep(runs_of(document, "run"), series)
    assert series is not None
    return series.id


def ended(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Compare; return the status, what was printed, and what was said."""
    status = main(["compare", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err
