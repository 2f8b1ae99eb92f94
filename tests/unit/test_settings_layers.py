"""Settings by flag, variable and file: each option by each, in this order, and mistakes by name."""

import argparse
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.command_line import exit_status
from fakes.pages import ROOT
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import build_parser, layers, main, serve
from agent.cli.config import _toml
from agent.client.spawn import OF_A_SERVICE, running_agent
from agent.settings import Settings, SocketFile

SAMPLES = ("7", "8", "one", "two", "/srv/one", "/srv/two", "0600", "0640", "7s", "8s", "::1", "::")
"""Texts of which some suit any option."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(layers.os.environ):
        if name.startswith(layers.PREFIX) and name not in layers.OF_OTHERS:
            monkeypatch.delenv(name)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], str]:
    """A function that writes a file of settings and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "agent.toml"
        path.write_text(text)
        return str(path)

    return write


def parser() -> argparse.ArgumentParser:
    built = argparse.ArgumentParser()
    serve.add_options(built)
    built.set_defaults(parser=built)
    return built


def actions() -> dict[str, argparse.Action]:
    return {layers._name(action): action for action in layers._options(parser())}


def decided(*arguments: str) -> dict[str, layers.Setting]:
    return {setting.name: setting for setting in layers.settle(parser().parse_args(arguments))}


def suiting(action: argparse.Action) -> Iterator[str]:
    """Return texts that an option takes, each of another value."""
    texts = SAMPLES if action.choices is None else map(str, action.choices)
    for text in texts:
        try:
            layers._converted(action, text, "")
        except layers.Wrong:
            continue
        yield text


def of_a_file(name: str, action: argparse.Action, text: str) -> str:
    if action.nargs == 0:
        return f"{name} = true\n"
    return f'{name} = ["{text}"]\n' if layers._repeats(action) else f'{name} = "{text}"\n'


@pytest.mark.parametrize("name", sorted(set(actions()) - {"config"}))
def test_every_option_can_be_set_three_ways(
    name: str, monkeypatch: pytest.MonkeyPatch, written: Callable[[str], str]
) -> None:
    action, variable = actions()[name], f"CHAINBENCH_{name.upper().replace('-', '_')}"
    switch = action.nargs == 0
    one, two = ("true", "false") if switch else list(suiting(action))[:2]
    default = decided()[name]
    assert default.source == "default"

    file = written(of_a_file(name, action, one))
    of_file = decided("--config", file)[name]
    assert of_file.source == file
    assert of_file.value != default.value or one in (str(default.value), str(action.default))

    monkeypatch.setenv(variable, two)
    of_variable = decided("--config", file)[name]
    assert of_variable.source == variable
    assert of_variable.value != of_file.value

    flag = [f"--{name}"] if switch else [f"--{name}", one]
    of_flag = decided("--config", file, *flag)[name]
    assert of_flag == layers.Setting(name, of_file.value, "command line")


def test_the_example_of_the_reference_can_be_used(
    served: list[Settings], written: Callable[[str], str]
) -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert main(["serve", "--config", written(example)]) == 0
    assert served[0].socket == SocketFile("/run/chainbench-agent/agent.sock", 0o600, None)


def test_what_is_set_reaches_the_agent(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, written: Callable[[str], str]
) -> None:
    file = written('port = 1\nmachine = "of the file"\nsocket = "/a"\nsocket-mode = "0600"\n')
    monkeypatch.setenv("CHAINBENCH_CONFIG", file)
    monkeypatch.setenv("CHAINBENCH_PORT", "2")
    monkeypatch.setenv("CHAINBENCH_ALLOW_HOST", "a, b,")
    monkeypatch.setenv("CHAINBENCH_HOST", "")
    assert main(["--label-sets", "3"]) == 0
    assert served == [
        Settings(
            port=2,
            machine="of the file",
            socket=SocketFile("/a", 0o600, None),
            allowed_hosts=("a", "b"),
            label_sets=3,
        )
    ]


def test_a_variable_can_switch_off_what_a_file_switches_on(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, written: Callable[[str], str]
) -> None:
    monkeypatch.setenv("CHAINBENCH_MOCK", "false")
    assert main(["--config", written("mock = true\n")]) == 0
    assert served == [Settings()]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("CHAINBENCH_PORT", "tcp://10.0.0.1:80", "CHAINBENCH_PORT: a port is a number from 0 to"),
        ("CHAINBENCH_TIMING", "x", "CHAINBENCH_TIMING: must be one of clock, accounting, not 'x'"),
        ("CHAINBENCH_MOCK", "yes", "CHAINBENCH_MOCK: must be true or false, not 'yes'"),
        ("CHAINBENCH_ALLOW_HOST", "a,b c", "CHAINBENCH_ALLOW_HOST: "),
        ("CHAINBENCH_CONFIG", "/nowhere/x", "/nowhere/x: No such file or directory"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    served: list[Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str,
    told: str,
) -> None:
    monkeypatch.setenv(name, text)
    assert exit_status([]) == 2
    assert told in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = 65536", "agent.toml: port: a port is a number from 0 to 65535, not '65536'"),
        ("port = true", "agent.toml: port: must be a text or a number"),
        ("port = [1]", "agent.toml: port: must be a text or a number"),
        ("mock = 1", "agent.toml: mock: must be true or false"),
        ('allow-host = "a"', 'agent.toml: allow-host: must be a list of texts, as in ["a", "b"]'),
        ("allow-host = [1]", 'agent.toml: allow-host: must be a list of texts, as in ["a", "b"]'),
        ("prot = 1", "agent.toml: there is no setting 'prot' (did you mean port?)"),
        ("[serve]\nport = 1", "no setting 'serve', and there are no tables: write port = 1 at the"),
        pytest.param("a = " + "[" * 20_000, "agent.toml: not a file of settings", id="deep"),
        pytest.param("port = 0x" + "f" * 9999, "agent.toml: port: the number is too", id="large"),
        pytest.param("#" * (layers.LARGEST + 1), "agent.toml: it has more than", id="long"),
        ('config = "/x"', "agent.toml: there is no setting 'config'"),
        ("data_dir = '/x'", "there is no setting 'data_dir' (did you mean data-dir?)"),
        ("port = ", "agent.toml: not valid TOML: Invalid value (at end of document)"),
        ("port = 1\nport = 2", "agent.toml: not valid TOML: Cannot overwrite a value"),
        # 432, which are the digits of another mode
        ("socket-mode = 0o660", "agent.toml: socket-mode: write it as text, in quotes"),
        ("socket-mode = 660", "agent.toml: socket-mode: write it as text, in quotes"),
        ("mock-seed = 1", "--mock-seed needs --mock"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "config"])
def test_what_is_wrong_in_a_file_is_named(
    served: list[Settings],
    capsys: pytest.CaptureFixture[str],
    written: Callable[[str], str],
    command: str,
    text: str,
    told: str,
) -> None:
    assert exit_status([command, "--config", written(text)]) == 2
    assert told in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    assert exit_status(["--config", str(path)]) == 2
    assert re.search(rf"{path}: (it is no regular file|Is a directory)\n", capsys.readouterr().err)


def test_an_empty_name_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--config", ""]) == 2
    assert "argument --config: must be a file, not ''" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_no_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b'machine = "\xff"')
    assert exit_status(["--config", str(path)]) == 2
    assert f"{path}: not valid TOML" in capsys.readouterr().err


def test_a_variable_that_is_no_setting_is_said_and_has_no_effect(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAINBENCH_DATADIR", "/x")
    monkeypatch.setenv("CHAINBENCH_AGENT", "http://127.0.0.1:9191")
    assert main([]) == 0
    said = capsys.readouterr().err
    assert said == (
        "chainbench-agent: CHAINBENCH_DATADIR is not a setting and is ignored"
        " (did you mean CHAINBENCH_DATA_DIR?)\n"
    )
    assert served == [Settings()]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CHAINBENCH_HELP", "CHAINBENCH_HELP is not a setting and is ignored"),
        ("CHAINBENCH_\x1b[31m", "CHAINBENCH_\\x1b[31m is not a setting and is ignored"),
    ],
)
def test_hints_are_at_near_names_only_and_names_are_safe_to_print(
    monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert layers.unknown_variables(parser()) == [told]


def test_variables_of_clients_and_tests_are_not_taken_for_mistakes() -> None:
    files = [*(ROOT / "agent").rglob("*.py"), *(ROOT / "tests").glob("*.py"), ROOT / "tox.ini"]
    found = {n for f in files for n in re.findall(r"CHAINBENCH_[A-Z_]*[A-Z]", f.read_text())}
    settings = {layers._variable(name) for name in actions()}
    assert found - settings <= layers.OF_OTHERS


@pytest.mark.parametrize(
    "name", ["user", "host", "machine", "socket", "socket-group", "token-file", "data-dir"]
)
def test_a_nul_character_is_refused_with_its_place(
    name: str, written: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(f'{name} = "/a\\u0000b"\n')
    assert exit_status(["--config", file]) == 2
    assert f"{file}: {name}: there is a NUL character in it" in capsys.readouterr().err


def test_config_prints_what_is_in_force_and_where_from(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: Callable[[str], str],
) -> None:
    file = written('machine = "a \\"b\\" é"\nsocket = "/s"\nsocket-mode = "0600"\n')
    monkeypatch.setenv("CHAINBENCH_ALLOW_HOST", "a,b")
    monkeypatch.setenv("CHAINBENCH_PROT", "1")
    assert main(["config", "--config", file, "--port", "9191"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "port = 9191  # command line"
    assert 'host = "127.0.0.1"  # default' in lines
    assert 'allow-host = ["a", "b"]  # CHAINBENCH_ALLOW_HOST' in lines
    assert f'machine = "a \\"b\\" é"  # {file}' in lines
    assert f'socket-mode = "0600"  # {file}' in lines
    assert "# data-dir is not set" in lines
    assert "# user is not set: an unused uid" in lines
    assert lines[-1].startswith("# CHAINBENCH_PROT is not a setting")


def test_what_config_prints_is_a_file_with_the_same_settings(
    served: list[Settings], capsys: pytest.CaptureFixture[str], written: Callable[[str], str]
) -> None:
    given = ["--socket", "/a", "--socket-mode", "0600", "--allow-host", "x", "--mock"]
    assert main(given) == main(["config", *given]) == 0
    assert main(["--config", written(capsys.readouterr().out)]) == 0
    assert served[1] == served[0]


def test_config_says_what_no_file_can_set(
    capsys: pytest.CaptureFixture[str], written: Callable[[str], str]
) -> None:
    assert main(["config", "--port", "9191", "--data-dir", "/x\udcff"]) == 0
    printed = capsys.readouterr().out
    why = "# command line; no file can set it, since it is not UTF-8"
    assert f'# data-dir = "/x\\udcff"  {why}\n' in printed
    assert main(["config", "--config", written(printed)]) == 0
    assert "port = 9191  # /" in capsys.readouterr().out


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_printed_as_toml_that_means_it(text: str) -> None:
    assert tomllib.loads(f"a = {_toml(text)}  # {text!r}")["a"] == text
    assert _toml(text).isprintable()


def test_help_names_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["serve", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "0 picks a free one (default: 9090)" in told
    assert "CHAINBENCH_PORT for --port" in told
    assert build_parser(["serve"])


@pytest.mark.thorough
def test_an_agent_of_ones_own_has_no_settings_of_a_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAINBENCH_SOCKET", "/nowhere/at/all.sock")
    monkeypatch.setenv("CHAINBENCH_CONFIG", "/nowhere")
    for name in OF_A_SERVICE:  # one of systemd's that runs a benchmark
        monkeypatch.setenv(name, "7")
    with running_agent(["--mock"]) as agent:
        variables = Path(f"/proc/{agent.pid}/environ").read_bytes().split(b"\0")
        assert not [name for name in OF_A_SERVICE if f"{name}=7".encode() in variables]
        assert agent.get("/status")["mock"] is True
