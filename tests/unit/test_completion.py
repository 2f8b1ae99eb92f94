"""Completion in a shell: of commands, options, values and paths, by the options as they are."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.command_line import exit_status

from agent.cli import COMMANDS, main


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
    assert "evidence.json" in completed("run", "--json", "evi")


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
