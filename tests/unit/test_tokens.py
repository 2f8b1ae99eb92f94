"""Tokens come from files that nobody else can read, or from systemd; and who needs one."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from fakes.waiting import PATIENCE_SECONDS

from agent.client.interpreter import own_module
from agent.http.access import Access
from agent.http.listener import open_listener
from agent.processes.errors import CannotServe, complain
from agent.processes.exposure import check_exposure, is_exposed
from agent.processes.preparing import tell
from agent.processes.tokens import read_tokens, requires_token
from agent.settings import Settings

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"
OTHER_UID = 12345


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def file(path: Path, text: str = f"{TOKEN}\n", mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_without_a_file_there_is_none() -> None:
    assert not requires_token(Settings())
    assert read_tokens(Settings()) == (None, None)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_from_files(tmp_path: Path, mode: int) -> None:
    settings = Settings(
        token_file=file(tmp_path / "a", mode=mode), read_token_file=file(tmp_path / "b", OTHER)
    )
    assert requires_token(settings)
    assert read_tokens(settings) == (TOKEN, OTHER)


def test_from_the_credentials_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's are 0440 where an ACL lets the service's user read them."""
    file(tmp_path / "chainbench-agent-token", mode=0o440)
    file(tmp_path / "chainbench-agent-read-token", OTHER, mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert requires_token(Settings())
    assert read_tokens(Settings()) == (TOKEN, OTHER)
    own = file(tmp_path / "own", "x" * 32)
    assert read_tokens(Settings(token_file=own)) == ("x" * 32, OTHER)


def test_credentials_of_another_name_are_no_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tmp_path / "token")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_tokens(Settings()) == (None, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = file(tmp_path / "a", mode=mode)
    with pytest.raises(CannotServe, match=f"others may read the token in .*: chmod 600 {path}"):
        read_tokens(Settings(token_file=path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_somebody_else_could_change_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path / "a")
    os.chown(path, OTHER_UID, OTHER_UID)
    with pytest.raises(CannotServe, match=f"belongs to uid {OTHER_UID}"):
        read_tokens(Settings(token_file=path))


@pytest.mark.parametrize(
    "text",
    ["", "\n", "short", "x" * 15, "two words of a token", "ü" * 20, "a" * 16 + "\nb", "x" * 5000],
)
def test_what_is_no_token_is_refused_with_how_to_make_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(CannotServe, match=r"holds no token: .*openssl rand -hex 32"):
        read_tokens(Settings(token_file=file(tmp_path / "a", text)))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="No such file"):
        read_tokens(Settings(token_file=str(tmp_path / "missing")))
    with pytest.raises(CannotServe, match="Is a directory"):
        read_tokens(Settings(token_file=str(tmp_path)))
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(CannotServe, match="no regular file"):
        read_tokens(Settings(token_file=str(tmp_path / "pipe")))


def test_why_an_agent_does_not_start_is_said_in_one_printable_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "/no\x1b[31mrd\nname\udcff"
    with pytest.raises(CannotServe) as refused:
        read_tokens(Settings(token_file=name))
    complain(str(refused.value))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert r"the token in /no\x1b[31mrd\nname\udcff cannot be read" in said


def test_the_token_that_may_only_read_is_another_one(tmp_path: Path) -> None:
    path = file(tmp_path / "a")
    with pytest.raises(CannotServe, match="needs one that may do more"):
        read_tokens(Settings(read_token_file=path))
    with pytest.raises(CannotServe, match="the two tokens are the same"):
        read_tokens(Settings(token_file=path, read_token_file=path))


# --- who needs one


@pytest.mark.parametrize(
    ("host", "exposed"),
    [("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("0.0.0.0", True), ("::", True)],
)
def test_only_loopback_is_closed_to_other_machines(host: str, exposed: bool) -> None:
    with open_listener(host, 0) as listener:
        assert is_exposed(listener) is exposed


def test_a_unix_socket_is_closed_to_other_machines() -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        assert not is_exposed(unix)


def test_beyond_loopback_a_token_is_needed_or_a_word_that_none_is() -> None:
    with open_listener("127.0.0.1", 0) as local, open_listener("0.0.0.0", 0) as exposed:
        check_exposure(Settings(), [local], has_token=False)
        check_exposure(Settings(), [local, exposed], has_token=True)
        check_exposure(Settings(insecure=True), [exposed], has_token=False)
        with pytest.raises(CannotServe, match=r"--token-file.*--insecure"):
            check_exposure(Settings(), [local, exposed], has_token=False)
        with pytest.raises(CannotServe, match="leave out one of the two"):
            check_exposure(Settings(insecure=True), [local], has_token=True)


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (Access(exposed=True), "--insecure: whoever can reach the port can start and stop runs"),
        (Access(b"digest", exposed=True), "whoever reads it has the token"),
        (Access(b"digest", exposed=True, tls=True), ""),
        (Access(), ""),
    ],
)
def test_what_a_stranger_could_do_is_logged(
    access: Access, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    tell(access)
    assert said in caplog.text
    assert bool(said) == bool(caplog.records)


def test_an_agent_does_not_start_open_to_the_network_unless_it_is_asked_to() -> None:
    started = own_module("agent", "--mock", "--host", "0.0.0.0", "--port", "0")
    ended = subprocess.run(
        started.command,
        env=started.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "other machines could start runs" in line
    assert "--insecure" in line
