"""HTTP answers, whole and broken, as a stream of bytes."""

import io
import json

import pytest

from agent.client import http_messages
from agent.client.http_messages import Answer, NoAnswer, read_answer


def answer(*lines: str, body: bytes = b"") -> Answer:
    return read_answer(io.BytesIO("".join(f"{line}\r\n" for line in lines).encode() + body))


def test_by_length() -> None:
    assert answer("HTTP/1.1 200 OK", "content-LENGTH: 2", "", body=b"{}xyz") == Answer(
        200, b"{}", True
    )
    assert answer("HTTP/1.1 204 No", "") == Answer(204, b"", True)


def test_in_chunks_with_trailers() -> None:
    stream = io.BytesIO(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nnext"
    )
    assert read_answer(stream) == Answer(200, b"abc0123456789", True)
    assert stream.read() == b"next"


def test_up_to_the_end_of_the_stream() -> None:
    assert answer("HTTP/1.0 200 OK", "", body=b"all") == Answer(200, b"all", False)


def test_an_interim_answer_is_not_the_answer() -> None:
    assert answer("HTTP/1.1 100 Continue", "", "HTTP/1.1 409 No", "Content-Length: 0", "") == (
        Answer(409, b"", True)
    )


def test_what_is_to_be_shown() -> None:
    lines = ("HTTP/1.1 401 No", "WWW-Authenticate: Bearer realm=x", "Content-Length: 0", "")
    assert answer(*lines) == Answer(401, b"", True, "Bearer realm=x")


@pytest.mark.parametrize(
    ("line", "field", "reusable"),
    [
        ("HTTP/1.1 200 OK", "Connection: close", False),
        ("HTTP/1.0 200 OK", "X: y", False),
        ("HTTP/1.0 200 OK", "Connection: Keep-Alive", True),
    ],
)
def test_whether_the_connection_takes_another_request(
    line: str, field: str, reusable: bool
) -> None:
    assert answer(line, field, "Content-Length: 0", "").reusable is reusable


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "after 3 of 5 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde", "no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n", "too long"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n", "too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000, "too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "too many"),
    ],
)
def test_what_is_no_answer(data: bytes, words: str) -> None:
    with pytest.raises(NoAnswer, match=words):
        read_answer(io.BytesIO(data))


def test_a_request() -> None:
    body = json.dumps({"a": 1}).encode()
    assert http_messages.request("POST", "/start", "here:1", body) == (
        b"POST /start HTTP/1.1\r\nHost: here:1\r\nAccept-Encoding: identity\r\n"
        b'Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )
    stop = http_messages.request("POST", "/stop", "localhost", None)
    assert stop.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-" not in http_messages.request("GET", "/status", "localhost", None)
