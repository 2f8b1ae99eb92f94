"""The socket of a service: who may connect, what is replaced, and what is not."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.http.unix_listener import LONGEST_PATH, unix_listener
from agent.settings import SocketFile


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A short path: pytest's own may be too long for a socket."""
    before = Path.cwd()
    folder = tmp_path / "s"
    folder.mkdir()
    os.chdir(folder)
    yield Path("agent.sock")
    os.chdir(before)


def wanted(path: Path, mode: int = 0o660, group: str | None = None) -> SocketFile:
    return SocketFile(f"./{path}", mode, group)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.mark.parametrize("mode", [0o660, 0o666, 0o600])
def test_it_listens_with_the_mode_and_leaves_nothing(path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        with unix_listener(wanted(path, mode)):
            assert stat.S_IMODE(path.lstat().st_mode) == mode
            assert connects(path)
        assert not path.exists()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


def test_it_has_the_group(path: Path) -> None:
    group = os.getgroups()[-1] if os.geteuid() else 65534
    with unix_listener(wanted(path, group=str(group))):
        assert path.lstat().st_gid == group


@pytest.mark.parametrize("group", ["no-such-group", "4294967295", "99999999999999999999"])
def test_a_group_that_does_not_exist(path: Path, group: str) -> None:
    with (
        pytest.raises(OSError, match=rf"agent\.sock: there is no group {group}$"),
        _open(wanted(path, group=group)),
    ):
        pass
    assert not path.exists()


@contextmanager
def _open(file: SocketFile) -> Iterator[None]:
    with unix_listener(file):
        yield


def test_what_a_killed_agent_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    assert path.is_socket()
    with unix_listener(wanted(path)):
        assert connects(path)


def test_one_that_another_agent_listens_on_is_not(path: Path) -> None:
    with unix_listener(wanted(path)):
        with pytest.raises(OSError, match="another process listens there"), _open(wanted(path)):
            pass
        assert connects(path)


def test_a_file_that_is_no_socket_stays(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(OSError, match="a file that is no socket is there"), _open(wanted(path)):
        pass
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(path: Path) -> None:
    path.symlink_to("elsewhere")
    with pytest.raises(OSError, match="a file that is no socket is there"), _open(wanted(path)):
        pass
    assert not Path("elsewhere").exists()


def test_a_path_that_is_too_long(path: Path) -> None:
    long = SocketFile("/" + "x" * LONGEST_PATH, 0o660, None)
    with pytest.raises(OSError, match="longer than 107 bytes"), _open(long):
        pass


def test_the_folder_is_made_but_no_folder_above_it(path: Path) -> None:
    with unix_listener(wanted(Path("run/agent.sock"))):
        assert connects(Path("run/agent.sock"))
    with pytest.raises(OSError, match="make the folder first"), _open(wanted(Path("a/b/c"))):
        pass
    assert not Path("a").exists()


def test_another_file_of_that_name_is_not_removed_at_the_end(path: Path) -> None:
    with unix_listener(wanted(path)):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


def test_of_many_that_start_at_once_one_listens(path: Path) -> None:
    """Each finds the same stale socket; none removes the new one of another."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    barrier, listening, refused = threading.Barrier(8), [], []

    with ExitStack() as stack:

        def start() -> None:
            barrier.wait()
            try:
                listening.append(stack.enter_context(unix_listener(wanted(path))))
            except OSError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(listening), len(refused)) == (1, 7)
        assert connects(path)
