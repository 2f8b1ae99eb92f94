"""The page about rights has a row for each set of rights in each place, as it is measured."""

import argparse
from pathlib import Path

import pytest
from fakes.pages import DOCS

from benchmarks.commands import rights
from benchmarks.rights import BEGIN, END, PLACES, RIGHTS, ROOTLESS, Row, table, written

PAGE = DOCS / "reference" / "rights.md"


def test_no_row_is_missing() -> None:
    page = PAGE.read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    listed = {(row[0].removeprefix("| "), row[1]) for row in rows}
    wanted = {(place.name, rights.name) for place in PLACES for rights in RIGHTS}
    wanted |= {(place.name, rights.name) for place, rights in ROOTLESS.items()}
    assert wanted <= listed


def test_what_was_measured_replaces_what_was_there() -> None:
    row = Row("here", "root", "no_btf", own_io=True)
    page = written(f"before\n{BEGIN}\nold\n{END}\nafter\n", [row])
    assert "old" not in page
    assert page.startswith("before\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "| here | root | `no_btf` | – | – | yes | – |" in table([row])
    assert table([row]) in page


def test_an_agent_that_does_not_start_is_no_row_of_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "rights.md"
    page.write_text(f"{BEGIN}\nold\n{END}\n")
    monkeypatch.setattr(rights, "PAGE", page)
    monkeypatch.setattr("os.getuid", lambda: 0)
    rows = [Row("here", "root", "measured"), Row("here", "a user", "denied", started=False)]
    monkeypatch.setattr(rights, "rows", lambda: iter(rows))
    assert rights._measure(argparse.Namespace(full=True)) == 1
    assert "old" in page.read_text()
    assert "nothing is written" in capsys.readouterr().err
    monkeypatch.setattr(rights, "rows", lambda: iter(rows[:1]))
    assert rights._measure(argparse.Namespace(full=True)) == 0
    assert table(rows[:1]) in page.read_text()
