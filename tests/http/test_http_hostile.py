"""Clients that are slow, rude or many: others are still served."""

import re
import resource
import socket
from contextlib import ExitStack

import pytest
import requests
from fakes.descriptors import open_fds
from fakes.http_server import RunningServer, running_server
from fakes.raw_http import (
    ASKS_STATUS,
    HOST,
    SLOW_BODY,
    SLOW_HEADERS,
    WANTS_METRICS,
    WANTS_STOP,
    clients,
    fill_metrics,
    hold,
    is_served,
    read_to_end,
    reads_status,
    status_and_error,
)
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.http import connection
from agent.http.settings import HttpSettings


@pytest.mark.parametrize("sent", [b"", SLOW_HEADERS, WANTS_METRICS])
def test_a_connection_that_asks_nothing_more_ends(sent: bytes) -> None:
    limits = HttpSettings(keep_alive_timeout=0.2)
    with running_server(limits) as server, server.connect() as sock:
        sock.sendall(sent)
        answer = read_to_end(sock)
    assert not answer or sent == WANTS_METRICS


def test_a_slow_body_is_given_up() -> None:
    with running_server(HttpSettings(body_timeout=0.2)) as server:
        with server.connect() as sock:
            sock.sendall(SLOW_BODY)
            assert status_and_error(read_to_end(sock)) == (408, "body_timeout")
        assert is_served(server)


def test_a_client_that_never_reads_is_given_up() -> None:
    with running_server(HttpSettings(send_timeout=0.2)) as server:
        before = len(open_fds())
        fill_metrics(server)
        with server.connect(receive_buffer=4096) as sock:
            sock.sendall(WANTS_METRICS)
            eventually(lambda: sock.recv(1, socket.MSG_PEEK))
            assert is_served(server)
            # only our end is still open
            eventually(lambda: len(open_fds()) == before + 1)
            head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        [size] = re.findall(rb"content-length: (\d+)", head)
        assert len(body) < int(size)


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
        late.settimeout(PATIENCE_SECONDS)
        for waiting in (stop, scrape, late):
            assert waiting.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_client_that_waits_for_room_is_hung_up_on_at_the_end() -> None:
    """Not by the garbage collector, which would warn of it."""
    with running_server(HttpSettings(max_connections=1)) as server, ExitStack() as stack:
        release = hold(server, "arming")
        start = stack.enter_context(server.connect())
        start.sendall(b"POST /start HTTP/1.1\r\n" + HOST + b"\r\n")
        eventually(lambda: bool(server.recorder.requests))
        late = stack.enter_context(server.connect())
        late.sendall(ASKS_STATUS)
        late.settimeout(0.3)  # it has been accepted by then, and there is no room for it
        with pytest.raises(TimeoutError):
            late.recv(1)
        late.settimeout(PATIENCE_SECONDS)
        assert not server.shut_down(0)
        assert read_to_end(late) == b""
        release()
        assert start.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.thorough
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
        sock.settimeout(PATIENCE_SECONDS)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert caplog.text.count("cannot accept") == 1


def _lowest_free_descriptor() -> int:
    with socket.socket() as probe:
        return probe.fileno()
