"""The command line: the original's still works, mistakes are reported, and help is complete."""

import socket
from collections.abc import Sequence

import pytest

import agent.processes.launch
from agent import __version__
from agent.cli import COMMANDS, main
from agent.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings that the agent would have been started with."""
    calls: list[Settings] = []

    def serve(settings: Settings) -> int:
        calls.append(settings)
        return 0

    monkeypatch.setattr(agent.processes.launch, "serve", serve)
    return calls


def exit_status(arguments: Sequence[str]) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.mark.parametrize("prefix", [[], ["serve"]])
def test_without_a_subcommand_it_serves(served: list[Settings], prefix: list[str]) -> None:
    assert main([*prefix, "--port", "9191"]) == 0
    assert served == [Settings(port=9191)]


def test_without_anything_it_serves_as_the_contract_says(served: list[Settings]) -> None:
    assert main([]) == 0
    assert served == [Settings(host="127.0.0.1", port=9090, machine=socket.gethostname())]


def test_every_setting_reaches_the_agent(served: list[Settings]) -> None:
    arguments = "--host ::1 --port 1 --machine m --user 65000 --label-sets 7 --timing accounting"
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
        )
    ]


@pytest.mark.parametrize("port", ["http", "-1", "65536", "1.5", ""])
def test_a_bad_port_is_told(
    served: list[Settings], capsys: pytest.CaptureFixture[str], port: str
) -> None:
    assert exit_status([f"--port={port}"]) == 2
    assert "a port is a number from 0 to 65535" in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    "arguments", [["--label-sets", "0"], ["--timing", "guess"], ["--nonsense"]]
)
def test_other_mistakes_end_it_too(served: list[Settings], arguments: list[str]) -> None:
    assert exit_status(arguments) == 2
    assert served == []


def test_help_lists_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n    {command} " in listed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status([command, "--help"]) == 0
    assert f"chainbench-agent {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--version"]) == 0
    assert capsys.readouterr().out == f"chainbench-agent {__version__}\n"


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("user", "why"), [("no-such-user", "there is no such user"), ("0", "must not be root")]
)
def test_whom_it_cannot_become(capsys: pytest.CaptureFixture[str], user: str, why: str) -> None:
    assert main(["--port", "0", "--user", user]) == 1
    assert why in capsys.readouterr().err
