"""The command line of what measures: overhead, run and record."""

from pathlib import Path

import pytest
from fakes.command_line import exit_status

from agent.cli import main
from agent.run.options import Options


def test_the_help_of_overhead_shows_where_the_command_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_status(["overhead", "--help"]) == 0
    told = capsys.readouterr().out
    assert "[-- COMMAND ...]" in told
    assert "--json FILE" in told
    assert "-- sh -c 'LINE'" in " ".join(told.split())


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["sleep", "1"], "chainbench-agent overhead -- sleep 1\n"),
        (["--rounds", "3", "ls", "-l", "a b"], "chainbench-agent overhead -- ls -l 'a b'\n"),
        (["--"], "there is no command after --\n"),
    ],
)
def test_a_command_without_its_separator_gets_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(["overhead", *arguments]) == 2
    assert capsys.readouterr().err.endswith(hint)


def test_options_reach_the_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def run_overhead(command: object, **options: object) -> int:
        seen.append((command, options))
        return 0

    monkeypatch.setattr("agent.overhead.command.run_overhead", run_overhead)
    assert main(["overhead", "--json", "x.json", "--rounds", "7", "--", "a", "--json", "b"]) == 0
    assert main(["overhead"]) == 0
    assert seen == [
        (["a", "--json", "b"], {"rounds": 7, "json_file": Path("x.json")}),
        (None, {"rounds": 10, "json_file": None}),
    ]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What ``run`` and ``record`` would have been called with."""
    seen: list[tuple[object, ...]] = []

    def take(*arguments: object) -> int:
        seen.append(arguments)
        return 0

    monkeypatch.setattr("agent.run.command.run_command", take)
    monkeypatch.setattr("agent.run.record.record", take)
    monkeypatch.setattr("agent.run.labels.CommitHere.answer", lambda asked: "")
    monkeypatch.delenv("CHAINBENCH_AGENT", raising=False)
    return seen


def test_options_reach_a_run(measured: list[tuple[object, ...]]) -> None:
    options = "run --agent http://here:1 --wait 2m --output o --json j --quiet --sections exec"
    more = "--details exec_failures --timing clock --impl i --dataset d"
    assert main([*options.split(), *more.split(), "--", "a", "--json", "b"]) == 0
    assert main(["run", "--", "a"]) == 0
    start = {
        "sections": ["exec"],
        "details": ["exec_failures"],
        "timing": "clock",
        "impl": "i",
        "dataset": "d",
    }
    chosen = Options("http://here:1", start, 120.0, Path("o"), Path("j"), quiet=True)
    assert measured == [(["a", "--json", "b"], chosen), (["a"], Options())]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--pid", "7"], ({"pid": 7}, None)),
        (["--cgroup", "/a/b", "--for", "1.5"], ({"cgroup": "/a/b"}, 1.5)),
        (["--system", "--for=500ms"], ("system", 0.5)),
        (["--system", "--for", "1h"], ("system", 3600.0)),
    ],
)
def test_what_to_record(
    measured: list[tuple[object, ...]], arguments: list[str], expected: tuple[object, ...]
) -> None:
    assert main(["record", *arguments]) == 0
    assert measured == [(*expected, Options())]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run"], "there is no command: chainbench-agent run -- COMMAND"),
        (["run", "--"], "there is no command after --"),
        (["run", "ls", "-l"], "comes after --: chainbench-agent run -- ls -l"),
        (["run", "--sections", "offcpu,exce", "--", "a"], "no 'exce' (did you mean exec?)"),
        (["run", "--details", "", "--", "a"], "there is no ''; known are"),
        (["run", "--agent", "here:1", "--", "a"], "an agent's URL is http://HOST:PORT"),
        (["run", "--impl", "a\nb", "--", "a"], "a label contains U+000A"),
        (["run", "--wait", "-1", "--", "a"], "a time is a number with ms, s, m or h"),
        (["record"], "one of the arguments --pid --cgroup --system is required"),
        (["record", "--pid", "1", "--system"], "not allowed with argument --pid"),
        (["record", "--pid", "0"], "a pid is a number from 1 to 4194304, not '0'"),
        (["record", "--cgroup", "a"], "the path of a cgroup begins with /, not 'a'"),
        (["record", "--system", "--for", "10 s"], "a time is a number with ms, s, m or h"),
        (["record", "--system", "--for", "1e3"], "a time is a number with ms, s, m or h"),
        (["record", "--system", "--for", "9999999h"], "a time is a number with ms, s, m or h"),
        (["record", "--system", "--for", "\u0663"], "a time is a number with ms, s, m or h"),
    ],
)
def test_what_cannot_be_measured_is_told(
    measured: list[tuple[object, ...]],
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_status(arguments) == 2
    assert told in capsys.readouterr().err
    assert measured == []


def test_the_variable_is_checked_as_the_option_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT", "nonsense")
    assert exit_status(["run", "--", "a"]) == 2
    assert (
        "an agent's URL is http://HOST:PORT, https://HOST:PORT or unix:/PATH, not 'nonsense'"
        in capsys.readouterr().err
    )
