"""Memory for clients that do not read is bounded, and clients that read do not notice."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fakes.descriptors import open_fds
from fakes.http_server import RunningServer, running_server
from fakes.raw_http import HOST, fill_metrics, hold, is_served, read_to_end
from fakes.waiting import eventually

from agent.http import unsent
from agent.http.settings import HttpSettings
from agent.http.unsent import ALWAYS, SMALL, Unsent

WANTS_LAST = b"GET /metrics HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"


class Stream:
    """Where an answer is sent."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have only the number of answers matter."""
    monkeypatch.setattr(unsent, "LIMIT", SMALL)


def closed(streams: list[Stream]) -> list[int]:
    return [number for number, stream in enumerate(streams) if stream.is_closed]


def test_the_one_that_has_taken_nothing_for_longest_is_closed() -> None:
    waiting, streams = Unsent(), [Stream() for _ in range(ALWAYS + 2)]
    for number, stream in enumerate(streams):
        waiting.add(stream, bytes(SMALL + 1))
        if number >= 1:
            waiting.has_moved(streams[0])
    assert closed(streams) == [1, 2]


def test_answers_that_have_been_sent_and_small_ones_do_not_count() -> None:
    waiting, streams = Unsent(), [Stream() for _ in range(4 * ALWAYS)]
    for number, stream in enumerate(streams):
        waiting.add(stream, bytes(SMALL + number % 2))
        if number % 4 == 1:
            waiting.remove(stream)
    assert closed(streams) == []


def test_one_page_counts_once() -> None:
    waiting, streams, page = Unsent(), [Stream() for _ in range(4 * ALWAYS)], bytes(SMALL + 1)
    for stream in streams:
        waiting.add(stream, page)
    assert closed(streams) == []


def test_below_the_limit_nobody_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent, "LIMIT", 4 * ALWAYS * (SMALL + 1))
    waiting, streams = Unsent(), [Stream() for _ in range(4 * ALWAYS)]
    for stream in streams:
        waiting.add(stream, bytes(SMALL + 1))
    assert closed(streams) == []
    waiting.add(Stream(), bytes(SMALL + 1))
    assert closed(streams) == [0]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """It gives up nobody for being slow, however slow this machine is."""
    with running_server(HttpSettings(send_timeout=3600)) as server:
        yield server


def asks_and_does_not_read(server: RunningServer) -> socket.socket:
    sock = server.connect(receive_buffer=4096)
    sock.sendall(WANTS_LAST)
    sock.recv(1, socket.MSG_PEEK)
    server.settle()
    return sock


def read(sock: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (data := sock.recv(size - len(received))):
        received += data
    return received


def is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return f"content-length: {len(body)}\r\n".encode() in head


def test_a_scraper_that_reads_gets_its_page_among_those_that_do_not(server: RunningServer) -> None:
    fill_metrics(server)
    with ExitStack() as stack:
        reads = stack.enter_context(asks_and_does_not_read(server))
        before = len(open_fds())
        received = b""
        for _ in range(2 * ALWAYS):
            stack.enter_context(asks_and_does_not_read(server))
            received += read(reads, 4 * SMALL)
            server.settle()
        # the scraper waits too; of those that do not read, our ends are open and fewer of the other
        eventually(lambda: len(open_fds()) == before + 2 * ALWAYS + ALWAYS - 1)
        assert is_served(server)
        assert is_whole(received + read_to_end(reads))


def test_simultaneous_scrapes_wait_with_one_page(server: RunningServer) -> None:
    fill_metrics(server)
    release = hold(server, "refreshing")
    with ExitStack() as stack:
        before = len(open_fds())
        sockets = [stack.enter_context(server.connect(4096)) for _ in range(2 * ALWAYS)]
        for sock in sockets:
            sock.sendall(WANTS_LAST)
        eventually(lambda: server.recorder.refreshes == 1)
        server.settle()
        release()
        for sock in sockets:
            sock.recv(1, socket.MSG_PEEK)
        server.settle()
        assert len(open_fds()) == before + 4 * ALWAYS, "both ends of each"
