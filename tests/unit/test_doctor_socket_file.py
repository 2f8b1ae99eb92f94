"""``doctor``: whether ``serve`` could listen on the path of ``--socket``."""

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agent_server import serving
from fakes.run_agent import RunAgent
from fakes.users import SOMEBODY

from agent.doctor.as_user import as_user
from agent.doctor.finding import Finding, State
from agent.doctor.socket_file import socket_file
from agent.http import unix_listener
from agent.http.unix_listener import LONGEST_PATH
from agent.settings import SocketFile


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, in which everybody may look and nobody but root make anything."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        yield Path(folder)
        os.chmod(folder, 0o755)


def found(path: Path, group: str | None = None) -> Finding:
    return socket_file(SocketFile(str(path), 0o660, group))


def said_to_a_user(path: Path, group: str | None = None) -> str:
    def said() -> str:
        return " ".join(found(path, group))

    return as_user(SOMEBODY, said) if os.geteuid() == 0 else said()


def test_one_that_can_be_made_and_others(tmp_path: Path) -> None:
    assert found(tmp_path / "new/s").state is State.OK
    assert not (tmp_path / "new").exists()
    missing = found(tmp_path / "no/such/s")
    assert missing.state is State.FAILED
    assert "make the folder first" in missing.text
    (tmp_path / "file").touch(0o755)
    assert "a file that is no socket is there" in found(tmp_path / "file").text
    assert "Not a directory" in found(tmp_path / "file/s").text
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(tmp_path / "left"))
        assert found(tmp_path / "left").state is State.OK
    with serving(RunAgent(), unix=tmp_path / "agent"):
        assert found(tmp_path / "agent").state is State.OK


@pytest.mark.parametrize("refused", [errno.EACCES, errno.EAGAIN, errno.EPROTOTYPE])
def test_one_that_did_not_refuse_is_not_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    path = tmp_path / "s"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(path))
    monkeypatch.setattr(unix_listener, "_refused", lambda path: refused)
    assert found(path).state is State.FAILED


def test_a_group_or_a_path_that_cannot_be(tmp_path: Path) -> None:
    assert found(tmp_path / "s", "no-such-group").state is State.FAILED
    assert "there is no group no-such-group" in found(tmp_path / "s", "no-such-group").text
    too_long = found(Path("/" + "x" * LONGEST_PATH))
    assert too_long.state is State.FAILED
    assert "longer than 107 bytes" in too_long.text
    own = os.getegid() or SOMEBODY
    assert found(tmp_path / "s", str(own)).state is State.OK


@pytest.mark.parametrize("name", ["s", "new/s"])
def test_a_folder_that_a_user_may_not_write_to(folder: Path, name: str) -> None:
    said = said_to_a_user(folder / name)
    assert said.startswith(f"socket failed cannot listen on {folder / name}: Permission denied for")
    assert "start the agent as root" in said
    assert list(folder.iterdir()) == []


def test_a_socket_that_was_left_where_a_user_may_not_replace_it(folder: Path) -> None:
    path = folder / "s"
    folder.chmod(0o755)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(path))
    path.chmod(0o666)
    folder.chmod(0o555)
    assert "Permission denied for" in said_to_a_user(path)


def test_a_group_that_a_user_is_not_in(folder: Path) -> None:
    folder.chmod(0o777)
    assert "Operation not permitted for" in said_to_a_user(folder / "s", "0")
    assert " ok " in said_to_a_user(folder / "s")


def test_where_an_agent_listens_it_is_ok_whoever_asks(folder: Path) -> None:
    """As for the port: to listen there is the business of whoever started it."""
    folder.chmod(0o755)
    with serving(RunAgent(), unix=folder / "s"):
        (folder / "s").chmod(0o666)
        folder.chmod(0o555)
        assert f"an agent listens on {folder / 's'} already" in said_to_a_user(folder / "s")
