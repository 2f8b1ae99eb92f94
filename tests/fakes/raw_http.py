"""Requests as bytes, and clients that send them by hand."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import requests
from fakes.http_server import RunningServer
from fakes.totals import run_totals
from fakes.waiting import PATIENCE_SECONDS

from agent.aggregate.series import LabelSet

HOST = b"Host: localhost\r\n"
SLOW_HEADERS = b"GET /status HTTP/1.1\r\nHost: loc"
SLOW_BODY = b"POST /start HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n{"
ASKS_STATUS = b"GET /status HTTP/1.1\r\n" + HOST + b"\r\n"
WANTS_METRICS = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
WANTS_STOP = b"POST /stop HTTP/1.1\r\n" + HOST + b"\r\n"


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
    return requests.get(f"{server.url}/status", timeout=PATIENCE_SECONDS).status_code == 200


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
