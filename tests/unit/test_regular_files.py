"""Files that somebody has named: nobody waits for them, and only regular ones are read."""

import os
import socket
from pathlib import Path

import pytest

from agent.regular_files import open_regular, read_regular


def fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_what_is_in_a_file(file: Path) -> None:
    assert read_regular(str(file), 7) == b"content"
    fd = open_regular(str(file))
    assert os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_link_is_followed(file: Path) -> None:
    """Certificates and tokens that are replaced often are links to the current one."""
    link = file.with_name("link")
    link.symlink_to(file)
    assert read_regular(str(link), 7) == b"content"


def other(path: Path, kind: str) -> Path:
    """Make something that is no file to be read."""
    pipe = path.with_name("a pipe")
    os.mkfifo(pipe)
    match kind:
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"12345678")
        case "device":
            path.symlink_to("/dev/zero")
        case "kernel's":
            # not /proc/kmsg, of which a defect would take the kernel's log
            path.symlink_to("/proc/self/status")
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "pipe":
            return pipe
        case "link to a pipe":
            path.symlink_to(pipe)
    return path


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        *(("kernel's", "a file of the kernel's"), ("socket", "no regular file but a socket")),
        *(("missing", "No such file"), ("folder", "Is a directory"), ("large", "more than 7 byte")),
        *((kind, "it is no regular file") for kind in ("device", "pipe", "link to a pipe")),
    ],
)
def test_anything_else_is_refused_at_once_and_leaves_nothing_open(
    tmp_path: Path, kind: str, why: str
) -> None:
    path, before = other(tmp_path / kind, kind), fds()
    with pytest.raises(OSError, match=why):
        read_regular(str(path), 7)
    assert fds() == before


def test_an_empty_file_is_one(file: Path) -> None:
    file.write_bytes(b"")
    assert read_regular(str(file), 7) == b""


def test_a_file_that_we_may_not_read(file: Path) -> None:
    file.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as refused:
            open_regular(str(file))
    finally:
        os.seteuid(user)
    assert refused.value.filename == str(file)
