"""Clients that are slow, rude or gone: others are still served, and shutdown ends in time."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests
from fakes.descriptors import open_fds
from fakes.http_server import RunningServer, running_server
from fakes.totals import run_totals
from fakes.waiting import eventually
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate.series import LabelSet
from agent.http import connection
from agent.http.settings import HttpSettings

HOST = b"Host: localhost\r\n"
SLOW_HEADERS = b"GET /status HTTP/1.1\r\nHost: loc"
SLOW_BODY = b"POST /start HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n{"
ASKS_STATUS = b"GET /status HTTP/1.1\r\n" + HOST + b"\r\n"
WANTS_METRICS = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
WANTS_STOP = b"POST /stop HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


@contextmanager
def clients(
    server: RunningServer, number: int, sends: bytes, receive_buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(server.connect(receive_buffer)) for _ in range(number)]
        for sock in sockets:
            sock.sendall(sends)
        yield sockets


def read_to_end(sock: socket.socket) -> bytes:
    """Read everything up to the end of the connection, even if that is a reset."""
    received = b""
    try:
        while data := sock.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def reads_status(sock: socket.socket) -> bool:
    """Return whether a whole answer of /status arrives, and nothing else."""
    received = b""
    while not received.endswith(b"}\n"):
        if not (data := sock.recv(65536)):
            return False
        received += data
    return received.startswith(b"HTTP/1.1 200")


def status_and_error(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    return int(head.split()[1]), json.loads(body)["error"]


def is_served(server: RunningServer) -> bool:
    return requests.get(f"{server.url}/status", timeout=10).status_code == 200


def fill_metrics(server: RunningServer) -> None:
    """Make the page larger than the kernel's buffers."""
    totals = run_totals(syscalls={f"syscall_{number}": number for number in range(60)})

    def fill() -> None:
        for number in range(200):
            labels = LabelSet("s", str(number), "v" * 200, "c" * 200, "m" * 200, "d" * 200)
            server.recorder.series.commit(labels, totals, "success")

    server.call(fill)


def hold(server: RunningServer, hook: str) -> Callable[[], None]:
    """Make the recorder wait at ``hook``; call the result to release it."""
    event = server.event()
    setattr(server.recorder, hook, event.wait)
    return lambda: server.call(event.set)


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
        eventually(lambda: len(open_fds()) == before + 1, seconds=10)


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


PIECES = (
    *(b"POST /start HTTP/1.1\r\n", b"POST /start HTTP/1.0\r\n", b"POST /stop HTTP/1.1\r\n"),
    *(HOST, b"Connection: close\r\n", b"Content-Length: 2\r\n", b"Content-Length: 3\r\n"),
    *(b"Content-Type: application/json\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"{}", b"2\r\n{}\r\n0\r\n\r\n"),
    *(b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b"x", b" "),
)


@pytest.fixture(scope="module")
def impatient() -> Iterator[RunningServer]:
    with running_server(HttpSettings(body_timeout=0.3, keep_alive_timeout=0.3)) as server:
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
            sock.shutdown(socket.SHUT_WR)
        answers = read_to_end(sock)
    assert answers.count(b'{"status": "started"') == len(recorder.requests) - begun
    assert answers.count(b'"completeness"') == recorder.stops - ended


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_connection_to_be_closed_is_closed(server: RunningServer, version: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /status HTTP/" + version + b"\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert read_to_end(sock).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", SLOW_HEADERS, WANTS_METRICS])
def test_a_connection_that_asks_nothing_more_ends(sent: bytes) -> None:
    limits = HttpSettings(keep_alive_timeout=0.2)
    with running_server(limits) as server, server.connect() as sock:
        sock.sendall(sent)
        answer = read_to_end(sock)
    assert bool(answer) == (sent == WANTS_METRICS)


def test_a_slow_body_is_given_up() -> None:
    with running_server(HttpSettings(body_timeout=0.2)) as server:
        with server.connect() as sock:
            sock.sendall(SLOW_BODY)
            assert status_and_error(read_to_end(sock)) == (408, "body_timeout")
        assert is_served(server)


def test_a_client_that_never_reads_is_given_up() -> None:
    with running_server(HttpSettings(send_timeout=0.2)) as server:
        fill_metrics(server)
        size = len(requests.get(f"{server.url}/metrics").content)
        with server.connect(receive_buffer=4096) as sock:
            sock.sendall(WANTS_METRICS)
            time.sleep(0.6)
            assert is_served(server)
            assert 0 < len(read_to_end(sock)) < size


@pytest.mark.parametrize("sends", [b"", SLOW_HEADERS, SLOW_BODY, WANTS_METRICS])
def test_a_full_server_makes_room(sends: bytes) -> None:
    with running_server(HttpSettings(max_connections=4)) as server:
        fill_metrics(server)
        with clients(server, 12, sends, receive_buffer=4096):
            for _ in range(5):
                assert is_served(server)


def test_refused_clients_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 60)
    limits = HttpSettings(max_connections=4, grace=0)
    with running_server(limits) as server, clients(server, 4, b"garbage\r\n\r\n") as refused:
        for sock in refused:
            assert sock.recv(12) == b"HTTP/1.1 400"
        assert is_served(server)


@pytest.mark.parametrize("sends", [b"", SLOW_HEADERS, SLOW_BODY, ASKS_STATUS])
def test_a_client_that_left_keeps_no_descriptor(server: RunningServer, sends: bytes) -> None:
    before = len(open_fds())
    with clients(server, 5, sends):
        # Both ends are in this process.
        eventually(lambda: len(open_fds()) == before + 10)
    eventually(lambda: len(open_fds()) == before)


def test_the_longest_idle_goes_first() -> None:
    limits = HttpSettings(max_connections=3)
    with running_server(limits) as server, clients(server, 3, b"") as idle:
        idle[0].sendall(ASKS_STATUS)
        assert reads_status(idle[0])
        assert is_served(server)
        assert idle[1].recv(1) == b""
        idle[0].sendall(ASKS_STATUS)
        assert reads_status(idle[0])


def test_a_client_that_waits_for_the_recorder_is_not_closed() -> None:
    with running_server(HttpSettings(max_connections=2)) as server, ExitStack() as stack:
        before = len(open_fds())
        requests.post(f"{server.url}/start")
        eventually(lambda: len(open_fds()) == before)
        go_on = [hold(server, "stopping"), hold(server, "refreshing")]
        stop, scrape = (stack.enter_context(server.connect()) for _ in range(2))
        stop.sendall(WANTS_STOP)
        scrape.sendall(WANTS_METRICS)
        eventually(lambda: server.recorder.refreshes == 1)
        late = stack.enter_context(server.connect())
        late.sendall(ASKS_STATUS)
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(1)
        for release in go_on:
            release()
        late.settimeout(10)
        for waiting in (stop, scrape, late):
            assert waiting.recv(65536).startswith(b"HTTP/1.1 200")


def test_thousands_of_idle_connections(server: RunningServer) -> None:
    number = 2000
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number + 1000:
        pytest.skip(f"RLIMIT_NOFILE is {soft}: too few files for {number} connections")
    with clients(server, number, SLOW_HEADERS):
        assert is_served(server)


def test_out_of_descriptors(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as sock:
        # The kernel hands out the lowest free descriptor, so this limit leaves none.
        resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free_descriptor(), hard))
        try:
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(ASKS_STATUS)
            eventually(lambda: "cannot accept" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        sock.settimeout(10)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert caplog.text.count("cannot accept") == 1


def _lowest_free_descriptor() -> int:
    with socket.socket() as probe:
        return probe.fileno()


def test_a_client_gone_during_start(server: RunningServer) -> None:
    release = hold(server, "arming")
    with server.connect() as sock:
        sock.sendall(b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n")
        eventually(lambda: bool(server.recorder.requests))
    release()
    assert requests.get(f"{server.url}/status").json()["running"]
    assert requests.post(f"{server.url}/stop").json()["run_id"] == "run-1"


def test_a_client_gone_during_stop(server: RunningServer) -> None:
    requests.post(f"{server.url}/start")
    reached = threading.Event()
    held = server.event()

    async def stopping() -> None:
        reached.set()
        await held.wait()

    server.recorder.stopping = stopping
    with server.connect() as sock:
        sock.sendall(WANTS_STOP)
        assert reached.wait(10)
    server.call(held.set)

    def fetch() -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{server.url}/evidence/run-1").json()
        return answer

    eventually(lambda: fetch().get("run_id") == "run-1")
    assert not requests.get(f"{server.url}/status").json()["running"]
    assert requests.get(f"{server.url}/evidence").json() == fetch()


def test_shutdown_lets_the_request_in_flight_end(server: RunningServer) -> None:
    requests.post(f"{server.url}/start")
    release = hold(server, "stopping")
    with server.connect() as sock:
        sock.sendall(WANTS_STOP)
        eventually(lambda: _in_flight(server))
        assert not server.shut_down(timeout=0.1)
        release()
        assert read_to_end(sock).startswith(b"HTTP/1.1 200")
    assert server.shut_down(timeout=5)


def _in_flight(server: RunningServer) -> bool:
    """Return whether the connection before this one has been read: they are accepted in order."""
    return is_served(server)


def test_shutdown_does_not_wait_for_the_hostile(server: RunningServer) -> None:
    fill_metrics(server)
    requests.post(f"{server.url}/start")
    hold(server, "stopping")
    with ExitStack() as stack:
        for sends in (b"", SLOW_HEADERS, SLOW_BODY, WANTS_METRICS, WANTS_STOP):
            stack.enter_context(clients(server, 3, sends, receive_buffer=4096))
        assert is_served(server)
        assert server.shut_down(timeout=5)


def test_after_shutdown_nobody_listens(server: RunningServer) -> None:
    assert server.shut_down(timeout=5)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/status")
