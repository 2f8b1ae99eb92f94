"""Requests sent in advance: none is carried out for a client that is gone, and others get in."""

import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from fakes.certificates import issued
from fakes.descriptors import open_fds
from fakes.http_server import RunningServer, running_server
from fakes.raw_http import (
    ASKS_STATUS,
    HOST,
    WANTS_METRICS,
    fill_metrics,
    hold,
    is_served,
    read_to_end,
    reads_status,
)
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.http.certificate import Certificate, Pem
from agent.http.settings import HttpSettings

BODY = json.dumps({"baseline_ms": 2, "optimized_ms": 1, "gain_pct": 50}).encode()
REPORTS = (
    b"POST /report HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    + BODY
)
WANTS_START = b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n"
MANY = 50
FEW = 5
"""Requests that may still be carried out: the first answer to a client that has closed is sent
without an error, since nothing has come back by then."""


@contextmanager
def plain(folder: Path) -> Iterator[tuple[RunningServer, socket.socket]]:
    with running_server() as server, server.connect() as sock:
        yield server, sock


@contextmanager
def encrypted(folder: Path) -> Iterator[tuple[RunningServer, socket.socket]]:
    files = issued(folder / "tls")
    certificate = Certificate(Pem(files.certificate.read_bytes(), files.key.read_bytes()))
    context = ssl.create_default_context(cafile=str(files.authority))
    with (
        running_server(HttpSettings(certificate=certificate)) as server,
        context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as sock,
    ):
        yield server, sock


@contextmanager
def unix(folder: Path) -> Iterator[tuple[RunningServer, socket.socket]]:
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(str(folder / "socket"))
    listener.listen()
    with running_server(unix=listener) as server, socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_SECONDS)
        sock.connect(str(folder / "socket"))
        yield server, sock


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("connected", [plain, encrypted, unix])
def test_what_a_client_has_sent_in_advance_ends_with_it(
    connected: Callable[[Path], AbstractContextManager[tuple[RunningServer, socket.socket]]],
    tmp_path: Path,
) -> None:
    with connected(tmp_path) as (server, sock):
        sock.sendall(ASKS_STATUS)
        assert reads_status(sock)
        descriptors = len(open_fds())

        def send_and_leave() -> None:
            sock.sendall(REPORTS * MANY + WANTS_START)
            sock.close()

        server.call(send_and_leave)  # before the server reads any of it
        eventually(lambda: len(open_fds()) == descriptors - 2)
        server.settle()
        assert len(server.recorder.reports) < FEW
        assert server.recorder.requests == []


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
def test_nor_is_it_carried_out_if_the_client_leaves_during_a_request(
    server: RunningServer, leave: Callable[[socket.socket], None]
) -> None:
    descriptors = len(open_fds())
    release = hold(server, "refreshing")
    sock = server.connect()
    sock.sendall(WANTS_METRICS + REPORTS * MANY + WANTS_START)
    eventually(lambda: server.recorder.refreshes == 1)
    leave(sock)
    release()
    eventually(lambda: len(open_fds()) == descriptors)
    server.settle()
    assert len(server.recorder.reports) < FEW
    assert server.recorder.requests == []


def test_nor_if_the_client_never_reads() -> None:
    with running_server(HttpSettings(send_timeout=0.2)) as server:
        fill_metrics(server)
        descriptors = len(open_fds())
        with server.connect(receive_buffer=4096) as sock:
            sock.sendall(WANTS_METRICS * 3 + WANTS_START)
            eventually(lambda: server.recorder.refreshes == 1)
            # only our end is still open
            eventually(lambda: len(open_fds()) == descriptors + 1)
            server.settle()
        assert server.recorder.refreshes == 1
        assert server.recorder.requests == []


def test_a_shutdown_ends_with_the_request_in_flight() -> None:
    """Not with the requests behind it, and it does not wait for them."""
    with running_server(HttpSettings(grace=3600)) as server, server.connect() as sock:
        release = hold(server, "refreshing")
        sock.sendall(WANTS_METRICS + REPORTS + WANTS_START)
        eventually(lambda: server.recorder.refreshes == 1)
        assert not server.shut_down(timeout=0.1)
        release()
        assert read_to_end(sock).count(b"HTTP/1.1 200") == 1
        assert server.shut_down()
        assert server.recorder.reports == server.recorder.requests == []


def test_a_client_that_has_only_finished_sending_gets_all_answers(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(REPORTS * MANY + WANTS_START)
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock).count(b"HTTP/1.1 200") == MANY + 1
    assert len(server.recorder.reports) == MANY
    assert len(server.recorder.requests) == 1


def test_others_are_served_between_the_requests_of_one_client(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[int] = []
    answer = server.recorder.status

    def status() -> dict[str, object]:
        before.append(len(server.recorder.reports))
        return answer()

    assert is_served(server)
    with server.connect() as many, server.connect() as one:
        for sock in (many, one):
            sock.sendall(ASKS_STATUS)
            assert reads_status(sock)
        monkeypatch.setattr(server.recorder, "status", status)
        server.call(lambda: [many.sendall(REPORTS * MANY), one.sendall(ASKS_STATUS)])
        assert reads_status(one)
        assert before[0] < MANY // 2
        eventually(lambda: len(server.recorder.reports) == MANY)
