"""A hangup has the certificate read again: by the process that serves, or by its supervisor."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.certificates import EXPIRED, Files, issued
from fakes.tls_agent import put, tls_agent
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.http.certificate import Pem
from agent.processes.reloading import LARGEST, pem_of, read_pem
from agent.streams.shared import channel
from agent.streams.shared.channel import Reply
from agent.streams.shared.messages import (
    CERTIFICATE,
    KEY,
    CertificateAnswer,
    CertificateRequest,
    encode_request,
)
from agent.streams.supervisor.supervisor import Supervisor


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_hangup_has_it_read_again_and_a_bad_one_changes_nothing(open_folder: Path) -> None:
    """The only process of a synthetic agent reads it itself, as the user that it has become."""
    in_use, renewed = issued(open_folder / "a"), issued(open_folder / "b", until=EXPIRED)
    for path in (in_use.key, renewed.key):
        path.chmod(0o644)
    with tls_agent(open_folder / "log", in_use, "--mock") as agent:
        assert agent.serves(in_use)
        assert agent.log.count("TLS: everybody may read or write the key's file") == 1
        assert "has expired" not in agent.log
        put(renewed, in_use)
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the certificate is reloaded" in agent.log)
        eventually(lambda: "TLS: the certificate has expired" in agent.log)
        assert agent.serves(renewed)
        in_use.key.write_text("nonsense")
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the certificate is not reloaded, and the old one stays" in agent.log)
        assert agent.serves(renewed)
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(PATIENCE_SECONDS) == 0


def answered(files: Files) -> Reply[CertificateAnswer]:
    """Return what a supervisor that was started with these files answers if asked for them."""
    ours, agent = channel.pair()
    agent.send(encode_request(CertificateRequest()))
    agent.shutdown(1)
    with ours, agent:
        Supervisor(ours, certificate_files=files.both).serve()
        reply = channel.decode_answer(CertificateAnswer, *channel.receive(agent))
    assert isinstance(reply, Reply)
    return reply


def test_the_supervisor_opens_the_files_that_it_was_started_with(tmp_path: Path) -> None:
    files = issued(tmp_path)
    reply = answered(files)
    assert reply.fds.keys() == {CERTIFICATE, KEY}
    content = pem_of([reply.fds[CERTIFICATE], reply.fds[KEY]])
    assert content == Pem(*(Path(path).read_bytes() for path in files.both))


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, kind: str) -> None:
    files = issued(tmp_path / "tls")
    files.key.unlink()
    if kind == "folder":
        files.key.mkdir()
    if kind == "pipe":
        os.mkfifo(files.key)
    reply = answered(files)
    assert reply.fds == {}
    assert str(files.key) in reply.answer.unreadable


def test_a_file_that_is_no_certificate_is_not_read_without_end(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(OSError, match="more than"):
        read_pem((str(path), str(path)))


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)]
)
def test_a_key_is_open_if_everybody_may_read_or_write_it(
    tmp_path: Path, mode: int, is_open: bool
) -> None:
    """A group may have it: some systems have one for that."""
    files = issued(tmp_path / "tls")
    files.key.chmod(mode)
    assert read_pem(files.both).key_is_open is is_open
