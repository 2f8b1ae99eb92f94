"""Where a request begins and ends: what was done is answered, and what is refused was not done."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
from fakes.descriptors import open_fds
from fakes.http_server import RunningServer, running_server
from fakes.raw_http import (
    ASKS_STATUS,
    HOST,
    hold,
    is_served,
    read_to_end,
    reads_status,
    status_and_error,
)
from fakes.waiting import eventually
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.http.settings import HttpSettings


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /status HTTP/1.1\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET ?status HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST /start HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /start HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /start HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxx\r\n", 400),
        (b"GET /status HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 1_000_000, 431),
        (b"GET /status HTTP/1.1\r\n" + HOST
         + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\n" + HOST
         + b"Connection: Upgrade\r\nUpgrade: WebSocket\xa0\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_nonsense_is_answered_in_json_and_ends(
    server: RunningServer, request_: bytes, status: int
) -> None:
    with server.connect() as sock:
        sock.sendall(request_)
        answered, error = status_and_error(read_to_end(sock))
    assert answered == status
    assert error in ("bad_request", "not_implemented", "request_header_fields_too_large")
    assert is_served(server)


def test_http_2_is_not_upgraded_to(server: RunningServer) -> None:
    headers = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n"
    with server.connect() as sock:
        sock.sendall(b"GET /status HTTP/1.1\r\n" + HOST + headers + b"\r\n")
        assert read_to_end(sock).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_turn(server: RunningServer) -> None:
    start = b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n"
    with server.connect() as sock:
        sock.sendall(start + start + b"GET /x HTTP/1.0\r\n\r\n")
        answers = read_to_end(sock).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"409", b"404"]


LAST_REQUESTS = (
    b"POST /%s HTTP/1.0\r\n\r\n",
    b"POST /%s HTTP/1.0\nHost: localhost\n\n",
    b"POST /%s HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    b"POST /%s HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 2\r\n"
    b"Content-Type: application/json\r\n\r\n{}",
)


"""Requests that are their connection's last."""


FOLLOWING = (b"\n", b"\r\n", b"\r\n\r\n", b"\0", b"garbage\r\n\r\n", b"{}", b"x" * 1_000_000)


@pytest.mark.parametrize("following", FOLLOWING, ids=lambda sent: repr(sent[:9]))
@pytest.mark.parametrize("last", LAST_REQUESTS)
def test_what_follows_the_last_request_does_not_spoil_its_answer(
    server: RunningServer, last: bytes, following: bytes
) -> None:
    """A client that is told 400 must be able to rely on nothing having been done."""
    for route, key in ((b"start", "status"), (b"stop", "runqlat")):
        with server.connect() as sock:
            sock.sendall(last % route + following)
            head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert key in json.loads(body)


def test_what_arrives_after_the_answer_does_not_take_it_back(server: RunningServer) -> None:
    """Had the server closed, the kernel would reset the connection and drop what was not read."""
    with server.connect() as sock:
        sock.sendall(b"GET /status HTTP/1.0\r\n\r\n")
        eventually(lambda: has_arrived(sock))
        for _ in range(5):
            sock.sendall(b"x" * 1000)
            time.sleep(0.01)
        assert read_to_end(sock).startswith(b"HTTP/1.1 200")


def has_arrived(sock: socket.socket) -> bool:
    return bool(sock.recv(1, socket.MSG_PEEK))


def test_a_client_that_never_closes_does_not_keep_its_connection(server: RunningServer) -> None:
    before = len(open_fds())
    with server.connect() as sock:
        sock.sendall(b"GET /status HTTP/1.0\r\n\r\n")
        assert read_to_end(sock).startswith(b"HTTP/1.1 200")
        eventually(lambda: len(open_fds()) == before + 1)


@pytest.mark.parametrize("empty", [b"\n", b"\r\n", b"\r\n\r\n\n\r\n"])
def test_empty_lines_before_a_request_are_ignored(server: RunningServer, empty: bytes) -> None:
    """RFC 9112, section 2.2; old clients end a body with a CRLF that is not part of it."""
    start, stop = (
        b"POST /%s HTTP/1.1\r\n" % route + HOST + b"\r\n" for route in (b"start", b"stop")
    )
    with server.connect() as sock:
        sock.sendall(empty + start + empty + stop + empty)
        sock.sendall(empty)
        sock.sendall(empty + b"GET /x HTTP/1.0\r\n\r\n")
        answers = read_to_end(sock).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"404"]


def test_empty_lines_one_byte_at_a_time(server: RunningServer) -> None:
    with server.connect() as sock:
        for byte in b"\r\n\r\n" + ASKS_STATUS + b"\r\n" + ASKS_STATUS[:-2]:
            sock.sendall(bytes([byte]))
        assert reads_status(sock)
        sock.sendall(b"\r\n")
        assert reads_status(sock)


def test_endless_empty_lines_keep_no_connection() -> None:
    with running_server(HttpSettings(keep_alive_timeout=0.3)) as server, server.connect() as sock:

        def is_closed() -> bool:
            try:
                sock.sendall(b"\r\n")
            except OSError:
                return True
            return False

        eventually(is_closed)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /start HTTP/1.0\r\n\r\n",
        b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n" + ASKS_STATUS,
    ],
)
def test_a_client_that_has_finished_sending_gets_its_answers(
    server: RunningServer, request_: bytes
) -> None:
    """It half-closes, as ``printf … | nc -N`` does."""
    release = hold(server, "arming")
    with server.connect() as sock:
        sock.sendall(request_)
        sock.shutdown(socket.SHUT_WR)
        eventually(lambda: bool(server.recorder.requests))
        assert is_served(server)
        release()
        answer = read_to_end(sock)
    assert answer.count(b"HTTP/1.1 200") == request_.count(b" HTTP/")


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"Content-Length: 9\r\n\r\n{}", 400),
        (b"Content-Length: x\r\n\r\n{}", 400),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (b"Bad Header: x\r\n\r\n", 400),
        (b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
    ],
)
@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_what_is_refused_has_not_been_carried_out(
    server: RunningServer, start: bytes, status: int, close: bytes
) -> None:
    with server.connect() as sock:
        content = b"Content-Type: application/json\r\n"
        sock.sendall(b"POST /start HTTP/1.1\r\n" + HOST + close + content + start)
        sock.shutdown(socket.SHUT_WR)
        assert status_and_error(read_to_end(sock))[0] == status
    assert is_served(server)
    assert server.recorder.requests == []


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_what_follows_a_body_of_two_lengths_is_no_request(
    server: RunningServer, version: bytes
) -> None:
    """A proxy that goes by the other length takes it for a part of the body."""
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    follows = b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n"
    with server.connect() as sock:
        sock.sendall(b"GET /status HTTP/" + version + b"\r\n" + HOST + lengths + follows)
        answer = read_to_end(sock)
    assert answer.count(b"content-length:") == 1, "one answer"
    assert status_and_error(answer) == (400, "bad_request")
    assert b"connection: close" in answer.lower()
    assert server.recorder.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 1000000\r\n\r\n",
        b"Content-Length: 1000000\r\n\r\n{",
        b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n18000\r\n" + b" " * 0x18000 + b"\r\n",
    ],
    ids=["headers", "beginning", "expects", "chunked"],
)
def test_a_body_that_is_too_large_is_not_waited_for(sent: bytes) -> None:
    with running_server(HttpSettings(body_timeout=3600)) as server, server.connect() as sock:
        sock.sendall(b"POST /start HTTP/1.1\r\n" + HOST + sent)
        answer = read_to_end(sock)
        last = answer[answer.rindex(b"HTTP/1.1 413") :]
        assert status_and_error(last) == (413, "body_too_large")
        assert server.recorder.requests == []


PIECES = (
    *(b"POST /start HTTP/1.1\r\n", b"POST /start HTTP/1.0\r\n", b"POST /stop HTTP/1.1\r\n"),
    *(HOST, b"Connection: close\r\n", b"Content-Length: 2\r\n", b"Content-Length: 3\r\n"),
    *(b"Content-Type: application/json\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"{}", b"2\r\n{}\r\n0\r\n\r\n"),
    *(b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b"x", b" "),
)


@pytest.fixture(scope="module")
def impatient() -> Iterator[RunningServer]:
    with running_server(HttpSettings(body_timeout=0.05, keep_alive_timeout=0.05)) as server:
        yield server


@given(st.lists(st.sampled_from(PIECES), max_size=14), st.booleans())
@settings(max_examples=200)
def test_whatever_is_sent_what_was_done_is_what_was_answered(
    impatient: RunningServer, pieces: list[bytes], half_closes: bool
) -> None:
    """As many runs began as were answered "started", and as many ended as got evidence."""
    recorder = impatient.recorder
    begun, ended = len(recorder.requests), recorder.stops
    with impatient.connect() as sock:
        sock.sendall(b"".join(pieces))
        if half_closes:
            with contextlib.suppress(OSError):  # the server was faster
                sock.shutdown(socket.SHUT_WR)
        answers = read_to_end(sock)
    assert answers.count(b'{"status": "started"') == len(recorder.requests) - begun
    assert answers.count(b'"completeness"') == recorder.stops - ended


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_connection_to_be_closed_is_closed(server: RunningServer, version: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /status HTTP/" + version + b"\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert read_to_end(sock).startswith(b"HTTP/1.1 200")
