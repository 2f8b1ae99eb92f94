"""Names in a request that a library refuses, or cannot decode: an answer, and none in the log."""

import socket
import tempfile
from pathlib import Path

import pytest
from fakes.http_server import RunningServer, running_server
from fakes.raw_http import read_to_end, status_and_error

from agent.http.unix_listener import unix_listener
from agent.settings import SocketFile

NO_NAMES = (b"a..b", b".a", b"..", b"a" * 64, b"a..b:80", b"[", b"[::", b"xn--\xff", b"%00", b"a b")
"""What IDNA has no form for, and what is no host at all."""


@pytest.mark.parametrize("path", [b"/status", b"/healthz", b"/no-such-route"])
@pytest.mark.parametrize("host", NO_NAMES)
def test_a_host_that_is_no_name_is_forbidden(
    server: RunningServer, caplog: pytest.LogCaptureFixture, host: bytes, path: bytes
) -> None:
    answer = answer_to(server, b"GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, host))
    assert status_and_error(answer) == (403, "forbidden_host")
    assert not caplog.records


def test_over_a_unix_socket_it_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "agent.sock")
        with unix_listener(SocketFile(path, 0o600, None)) as unix, running_server(unix=unix):
            for host in NO_NAMES:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
                    client.sendall(b"GET /status HTTP/1.0\r\nHost: %s\r\n\r\n" % host)
                    assert read_to_end(client).startswith(b"HTTP/1.1 200")
    assert not caplog.records


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/status", b"200"),
        (b"http://localhost/status?a=b", b"200"),
        (b"http://localhost/evidence/%5b?", b"404"),
        (b"http://%5b/status", b"200"),
        (b"http://%E2%84%80/status", b"200"),
        (b"http://a%3f/status", b"200"),
        (b"http://a:x%5d/status", b"200"),
        (b"/%ff%00%0d%0a", b"404"),
        (b"//%5b/status", b"404"),
        (b"/status?%ff=%zz&%", b"200"),
        (b"/metrics?histograms=%ff", b"422"),
        (b"/runs?limit=" + b"9" * 5000, b"422"),
        (b"/evidence/%ed%a0%80", b"404"),
    ],
)
def test_a_target_that_decodes_badly_is_answered(
    server: RunningServer, caplog: pytest.LogCaptureFixture, target: bytes, status: bytes
) -> None:
    answer = answer_to(server, b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % target)
    assert answer[9:12] == status
    assert not caplog.records


@pytest.mark.parametrize(
    "header",
    [
        b"Cookie: session=\xff; =; a",
        b"Content-Type: \xff; charset=none",
        b"Authorization: Basic \xff",
        b"Accept: ;q=nan",
        b"Accept-Encoding: gzip;q=\xff",
        b"Origin: http://[",
        b"Range: bytes=-",
        b"If-Modified-Since: \xff",
        b"Content-Length: " + b"0" * 5000,
    ],
)
def test_a_header_that_decodes_badly_is_answered(
    server: RunningServer, caplog: pytest.LogCaptureFixture, header: bytes
) -> None:
    for path in (b"/status", b"/metrics"):
        answer = answer_to(
            server, b"GET %s HTTP/1.0\r\nHost: localhost\r\n%s\r\n\r\n" % (path, header)
        )
        assert answer[9:10] in (b"2", b"4")
    assert not caplog.records


def answer_to(server: RunningServer, request: bytes) -> bytes:
    with server.connect() as sock:
        sock.sendall(request)
        return read_to_end(sock)
