"""Completion in a shell: of commands, options, values and paths, by the options as they are."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.command_line import exit_status

from agent.cli import COMMANDS, build_parser, main, values
from agent.cli.completion import complete_paths


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "completion"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.fixture
def completed(script: Path, tmp_path: Path) -> Callable[..., set[str]]:
    """A function that returns what bash offers for the last of these words."""

    def complete(*words: str) -> set[str]:
        code = (
            f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            'function=$(complete -p chainbench-agent | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
            '$function; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", code, "bash", "chainbench-agent", *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        return set(done.stdout.split())

    return complete


def test_bash_completes_what_there_is(completed: Callable[..., set[str]], tmp_path: Path) -> None:
    assert set(COMMANDS) <= completed("")
    assert completed("compl") == {"completion"}
    assert {"--data-dir"} == completed("serve", "--data-d")
    assert {"clock", "accounting"} == completed("serve", "--timing", "")
    (tmp_path / "evidence.json").touch()
    (tmp_path / "evening").mkdir()
    assert "evidence.json" in completed("run", "--json", "evi")
    for words in (
        ("serve", "--token-file"),
        ("serve", "--config"),
        ("run", "--dataset-file"),
        ("runs", "list", "--store"),
        ("runs", "import"),
        ("show",),
        ("overhead", "--json"),
    ):
        assert "evidence.json" in completed(*words, "ev"), words
    for words in (("serve", "--data-dir"), ("runs", "export", "--into")):
        assert completed(*words, "ev") == {"evening"}, words


@pytest.mark.parametrize("kind", [Path, values.path, values.file, values.folder])
def test_what_is_parsed_as_a_path_completes_as_one(kind: object) -> None:
    """Whatever it is called on the command line."""
    parser = build_parser()
    complete_paths(parser, "file", "folder")
    found = [action for action in actions(parser) if action.type is kind]
    assert found
    assert [action for action in found if not hasattr(action, "complete")] == []


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for of_command in action.choices.values():
                yield from actions(of_command)


def test_zsh_gets_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef chainbench-agent")


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["completion", "cmd"]) == 2
    assert "bash" in capsys.readouterr().err


def test_without_the_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "install the extra completion" in capsys.readouterr().err
