"""Clients that leave during a request, and a server that shuts down."""

import threading
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from fakes.http_server import RunningServer
from fakes.raw_http import (
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
)
from fakes.waiting import PATIENCE_SECONDS, eventually


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
        assert reached.wait(PATIENCE_SECONDS)
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
    assert server.shut_down()


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
        assert server.shut_down()


def test_after_shutdown_nobody_listens(server: RunningServer) -> None:
    assert server.shut_down()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/status")
