"""`show` on real terminals: several widths, terminals and locales that know only ASCII."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes.sample_evidence import detailed
from fakes.terminals import on_terminal

from agent.client.interpreter import own_module
from agent.terminal.width import cells

LOCALES = ("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE")
COLOR = re.compile(r"\x1b\[\d+m")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(detailed()))
    return path


def environment(**variables: str) -> dict[str, str]:
    """Return the environment without a locale, a width or a wish for color, and ``variables``."""
    left_out = (*LOCALES, "COLUMNS", "NO_COLOR")
    own = {name: value for name, value in os.environ.items() if name not in left_out}
    return own | {"TERM": "xterm", "LANG": "C.UTF-8"} | variables


def shown(columns: int, *arguments: object, **variables: str) -> str:
    started = own_module("agent", "show", *map(str, arguments))
    with on_terminal(started.command, environment(**variables), columns) as terminal:
        text = terminal.to_the_end()
        assert terminal.process.returncode == 0
    return text


@pytest.mark.parametrize("options", [[], ["--all"]])
@pytest.mark.parametrize("columns", [30, 59, 60, 80, 200])
def test_nothing_wraps(saved: Path, columns: int, options: Sequence[str]) -> None:
    text = shown(columns, saved, *options)
    assert max(map(cells, text.splitlines())) <= columns
    assert "12,655 samples" in text
    assert ("Everything in the file" in text) == ("--all" in options)
    assert ("chainbench-agent show --all" in " ".join(text.split())) == ("--all" not in options)


def test_a_terminal_that_can_gets_bars_and_color(saved: Path) -> None:
    text = shown(80, saved)
    assert "█" in text
    assert "µs" in text
    assert COLOR.search(text)


@pytest.mark.parametrize(
    "variables",
    [
        {"TERM": "dumb"},
        {"TERM": "vt100"},
        {"TERM": "linux"},
        {"LANG": "C"},
        {"LANG": "POSIX"},
        {"LANG": ""},
        {"LC_ALL": "C"},
        {"LANG": "en_US.UTF-8", "LC_ALL": "C"},
        {"LANG": "de_DE.ISO-8859-1"},
    ],
)
def test_a_terminal_that_cannot_gets_ascii(saved: Path, variables: dict[str, str]) -> None:
    text = shown(80, saved, **variables)
    assert text.isascii()
    assert "us" in text
    assert "###" in text
    if variables.get("TERM") == "dumb":
        assert "\x1b" not in text
    assert max(map(cells, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "variables",
    [
        {"LANG": "en_US.UTF-8"},
        {"LANG": "C", "LC_ALL": "C.UTF-8"},
    ],
)
def test_a_locale_with_utf8_gets_bars(saved: Path, variables: dict[str, str]) -> None:
    assert "█" in shown(80, saved, **variables)


def test_a_pipe_has_80_columns_no_color_and_the_characters_of_the_locale(saved: Path) -> None:
    started = own_module("agent", "show", str(saved))
    for locale, has_bars in (("C.UTF-8", True), ("C", False)):
        text = subprocess.run(
            started.command, env=environment(LANG=locale), capture_output=True, check=True
        ).stdout.decode()
        assert "\x1b" not in text
        assert ("█" in text) is has_bars
        assert max(map(cells, text.splitlines())) <= 80
