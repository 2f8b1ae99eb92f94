"""The command line: the original's still works, mistakes are reported, and help is complete."""

import re
import socket
from pathlib import Path

import pytest
from fakes.command_line import exit_status

from agent import __version__
from agent.cli import COMMANDS, main
from agent.cli.parser import Parser
from agent.settings import Settings, SocketFile
from agent.store.names import FEWEST


@pytest.mark.parametrize("prefix", [[], ["serve"]])
def test_without_a_subcommand_it_serves(served: list[Settings], prefix: list[str]) -> None:
    assert main([*prefix, "--port", "9191"]) == 0
    assert served == [Settings(port=9191)]


def test_without_anything_it_serves_as_the_contract_says(served: list[Settings]) -> None:
    assert main([]) == 0
    assert served == [Settings(host="127.0.0.1", port=9090, machine=socket.gethostname())]


def test_every_setting_reaches_the_agent(served: list[Settings]) -> None:
    arguments = "--host ::1 --port 1 --machine m --user 65000 --label-sets 7 --timing accounting"
    arguments += " --compile-deadline 2m"
    assert main([*arguments.split(), "--allow-host", "a", "--allow-host", "b"]) == 0
    assert served == [
        Settings(
            host="::1",
            port=1,
            machine="m",
            user="65000",
            label_sets=7,
            allowed_hosts=("a", "b"),
            timing="accounting",
            compile_deadline_s=120,
        )
    ]


def test_synthetic_events_have_a_machine_label_of_their_own(served: list[Settings]) -> None:
    assert main(["--mock"]) == main(["--mock", "--mock-seed", "7"]) == 0
    assert served == [
        Settings(machine="mock", mock=True),
        Settings(machine="mock", mock=True, mock_seed=7),
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--compile-deadline", "0"], "a deadline is longer than 0 s"),
        (["--compile-deadline", "soon"], "a time is a number with ms, s, m or h"),
        (["--mock", "--machine", "bench-7"], "--machine cannot be given with --mock"),
        (["--mock", "--machine", "mock"], "--machine cannot be given with --mock"),
        (["--mock-seed", "7"], "--mock-seed needs --mock"),
        (["--mock", "--mock-seed", "-1"], "a seed is a number from 0 to 999999999, not '-1'"),
        (["--mock", "--mock-seed", "x"], "a seed is a number from 0 to 999999999, not 'x'"),
        (["--mock", "--mock-seed", "1000000000"], "not '1000000000'"),
    ],
)
def test_what_does_not_go_with_synthetic_events(
    served: list[Settings], arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(arguments) == 2
    assert told in capsys.readouterr().err
    assert served == []


def test_a_socket_with_its_mode_and_group(served: list[Settings]) -> None:
    assert main(["--socket", "/run/x/a.sock"]) == 0
    assert main(["--socket", "/a", "--socket-mode", "666", "--socket-group", "bench"]) == 0
    assert [settings.socket for settings in served] == [
        SocketFile("/run/x/a.sock", 0o660, None),
        SocketFile("/a", 0o666, "bench"),
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--socket-mode", "0660"], "--socket-mode and --socket-group need --socket"),
        (["--socket-group", "x"], "--socket-mode and --socket-group need --socket"),
        (["--socket", "a.sock"], "the path of a socket begins with / and names a file"),
        (["--socket", "/run/"], "the path of a socket begins with / and names a file"),
        (["--socket", "/x", "--socket-mode", "rw"], "a mode is three octal digits, as in 0660"),
        (["--socket", "/x", "--socket-mode", "4755"], "a mode is three octal digits, as in 0660"),
    ],
)
def test_what_is_wrong_with_a_socket(
    served: list[Settings], arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(arguments) == 2
    assert told in capsys.readouterr().err
    assert served == []


def test_who_may_use_it_over_a_network(served: list[Settings]) -> None:
    tokens = ["--token-file", "/t", "--read-token-file", "r"]
    assert main([*tokens, "--tls-cert", "/c", "--tls-key", "/k"]) == main(["--insecure"]) == 0
    assert served == [
        Settings(
            token_file="/t", read_token_file=str(Path("r").absolute()), tls_files=("/c", "/k")
        ),
        Settings(insecure=True),
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tls-cert", "/c"], "--tls-cert and --tls-key need each other"),
        (["--tls-key", "/k"], "--tls-cert and --tls-key need each other"),
        (["--token-file", ""], "must be a file"),
        (["--token-file", "folder/"], "must be a file"),
    ],
)
def test_what_is_wrong_with_a_file(
    served: list[Settings], arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(arguments) == 2
    assert told in capsys.readouterr().err
    assert served == []


def test_p_is_port(served: list[Settings]) -> None:
    assert main(["-p", "9191"]) == main(["serve", "-p9191"]) == 0
    assert served == [Settings(port=9191)] * 2


@pytest.mark.parametrize(
    "port",
    ["http", "-1", "65536", "1.5", "", "٣", "۴۵", "²", "1_0", "+1", " 1", "0x50", "9" * 5000],
)
def test_a_bad_port_is_reported(
    served: list[Settings], capsys: pytest.CaptureFixture[str], port: str
) -> None:
    assert exit_status([f"--port={port}"]) == 2
    told = capsys.readouterr().err
    assert f"a port is a number from 0 to 65535, not {port[:20]!r}"[:-1] in told
    assert len(told) < 1500
    assert served == []


@pytest.mark.parametrize("number", ["0", "-1", "٣", "1_0", "1e3", "", "9" * 5000])
@pytest.mark.parametrize("option", [["--label-sets"], ["overhead", "--rounds"]])
def test_a_bad_number_is_reported(
    option: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    *command, name = option
    assert exit_status([*command, f"{name}={number}"]) == 2
    assert f"argument {name}: must be a number of at least 1, not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sho", "x"], "there is no command 'sho' (did you mean show?); the commands are serve"),
        (
            ["sho", "x"],
            "are serve, run, record, runs, compare, demo, show, overhead, config, doctor,"
            " completion\n",
        ),
        (["server"], "did you mean serve?"),
        (["zzz"], "there is no command 'zzz'; the commands are"),
        (["help", "sho"], "did you mean show?"),
        (["9090"], "a port is given as --port 9090"),
        (["--prot", "9090"], "unrecognized argument '--prot' (did you mean --port?)"),
        (["--prot=9090"], "did you mean --port?"),
        (["--por", "9090"], "unrecognized argument '--por' (did you mean --port?)"),
        (["run", "--run", "3", "--", "true"], "unrecognized argument '--run' (did you mean --runs"),
        (["--zzz"], "unrecognized argument '--zzz'\n"),
        (["--port", "9090", "demo"], "the command demo must come first"),
        (["show", "a", "b"], "unrecognized argument 'b'"),
        (["run", "--bogus", "--", "a"], "unrecognized argument '--bogus'\n"),
        (
            ["run", "--markdown", "x.md"],
            "'--markdown' (an option of compare: chainbench-agent compare last --markdown)\n",
        ),
        (
            ["run", "--fail-if-slower=5", "--", "a"],
            "(an option of compare: chainbench-agent compare last --fail-if-slower PERCENT)\n",
        ),
        (["runs", "list", "--markdown"], "'--markdown' (an option of compare)\n"),
        (["--pid", "1"], "unrecognized argument '--pid' (an option of record)\n"),
        (["serve", "--html", "a"], "(an option of run, record, compare)\n"),
        (["serve", "--store", "a"], "(an option of runs list, runs show, runs export and others)"),
        (
            ["runs"],
            "there is no action; the actions are list, show, export, delete, import, limits",
        ),
    ],
)
def test_a_name_that_does_not_exist_gets_the_nearest(
    served: list[Settings],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    assert exit_status(arguments) == 2
    assert told in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["run"], "run [-h | OPTIONS] (-- COMMAND ... | --baseline LINE --optimized LINE)"),
        (["record"], "record [-h | OPTIONS] (--pid N | --cgroup PATH | --system)"),
        (["runs", "delete", "--x"], "runs delete [-h | OPTIONS] [WHICH ...]"),
        (["--nonsense"], "serve [-h | OPTIONS]"),
        (["show"], "show [-h] [--all] FILE"),
        (["runs"], "runs [-h] ACTION ..."),
    ],
)
def test_a_mistake_is_told_after_one_line_of_usage(
    served: list[Settings], capsys: pytest.CaptureFixture[str], arguments: list[str], usage: str
) -> None:
    assert exit_status(arguments) == 2
    first, _ = capsys.readouterr().err.splitlines()
    assert first == f"usage: chainbench-agent {usage}"


def test_a_usage_in_colors_is_told_in_one_line_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from Python 3.14 on, on a terminal."""
    plain = Parser.format_usage

    def in_colors(parser: Parser) -> str:
        return re.sub(r"(--?\w+)", "\x1b[1;32m\\1\x1b[0m", plain(parser))

    monkeypatch.setattr(Parser, "format_usage", in_colors)
    assert exit_status(["record"]) == 2
    first, _ = capsys.readouterr().err.splitlines()
    assert first.endswith("-agent record [-h | OPTIONS] (--pid N | --cgroup PATH | --system)")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_a_command_too(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["help"]) == 0
    listed = capsys.readouterr().out
    assert exit_status(["--help"]) == 0
    assert capsys.readouterr().out == listed
    assert exit_status(["help", command]) == 0
    assert f"usage: chainbench-agent {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--label-sets", "0"], ["--timing", "guess"], ["--nonsense"]]
)
def test_other_mistakes_end_it_too(served: list[Settings], arguments: list[str]) -> None:
    assert exit_status(arguments) == 2
    assert served == []


def test_help_lists_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--help"]) == 0
    listed = capsys.readouterr().out
    assert set(COMMANDS) <= {line.split()[0] for line in listed.splitlines() if line.strip()}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status([command, "--help"]) == 0
    assert f"chainbench-agent {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--version"]) == 0
    assert capsys.readouterr().out == f"chainbench-agent {__version__}\n"


def test_a_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("no-such-user", "there is no such user"),
        ("", "--user '': there is no such user"),
        ("0", "must not be root"),
    ],
)
def test_a_user_that_it_cannot_become_is_refused(
    capsys: pytest.CaptureFixture[str], user: str, why: str
) -> None:
    assert main(["--port", "0", "--user", user]) == 1
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("3f1c", ". If that is a kept run: chainbench-agent runs show 3f1c\n"),
        ("last~1", ". If that is a kept run: chainbench-agent runs show last~1\n"),
        (FEWEST * "3", f". If that is a kept run: chainbench-agent runs show {FEWEST * '3'}\n"),
        (FEWEST * "3" + ".", "3.: No such file or directory\n"),
        ((FEWEST - 1) * "3", "3: No such file or directory\n"),
        ("-x3f1", "cannot read evidence from -x3f1: No such file or directory\n"),
        ("3f1c\x1b", "cannot read evidence from 3f1c\\x1b: No such file or directory\n"),
        ("run.json", "cannot read evidence from run.json: No such file or directory\n"),
        ("folder/run", "cannot read evidence from folder/run: No such file or directory\n"),
    ],
)
def test_a_kept_run_is_no_file(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["show", "--", name]) == 1
    assert capsys.readouterr().err.endswith(told)


def test_an_empty_name_of_a_file_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", ""]) == 1
    assert "cannot read evidence from '': No such file" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_no_line_of_the_help_wraps(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert exit_status([*command, "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
