"""The real server with a fake recorder, in a thread with its own Trio loop."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from queue import SimpleQueue
from typing import Any

import outcome
import trio
from fakes.recorder import FakeRecorder
from fakes.waiting import PATIENCE_SECONDS
from trio.testing import wait_all_tasks_blocked

from agent.http.api import RunsAPI
from agent.http.app import create_app
from agent.http.listener import open_listener
from agent.http.server import serve
from agent.http.settings import HttpSettings


class RunningServer:
    """A running server, to be used from the test's own thread."""

    def __init__(self, recorder: FakeRecorder, port: int = 0) -> None:
        self.recorder = recorder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._token = trio.lowlevel.current_trio_token()
        self._shutdown = trio.Event()
        self._ended = threading.Event()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` in the server's thread, between two of its tasks."""
        return trio.from_thread.run_sync(function, trio_token=self._token)

    def settle(self) -> None:
        """Return once every task of the server waits for something."""
        trio.from_thread.run(wait_all_tasks_blocked, trio_token=self._token)

    def event(self) -> trio.Event:
        """A Trio event; ``call(event.set)`` sets it."""
        return trio.Event()

    def shut_down(self, timeout: float = PATIENCE_SECONDS) -> bool:
        """Request a graceful shutdown; return whether it finished within ``timeout`` seconds."""
        if not self._ended.is_set():
            self.call(self._shutdown.set)
        return self._ended.wait(timeout)

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Return the socket of a new connection to the server."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE_SECONDS)
        sock.connect(("127.0.0.1", self.port))
        return sock


@contextmanager
def running_server(
    settings: HttpSettings | None = None,
    host: str = "127.0.0.1",
    open_recorder: Callable[[], AbstractAsyncContextManager[Any]] = FakeRecorder.open,
    unix: socket.socket | None = None,
    runs: RunsAPI | None = None,
    port: int = 0,
) -> Iterator[RunningServer]:
    """Serve on this port (0: a free one), or on a Unix socket; fail if the server raised an error.

    ``runs``: those that are kept, if any are.
    """
    started: SimpleQueue[outcome.Outcome[RunningServer]] = SimpleQueue()
    failures: list[BaseException] = []

    async def main() -> None:
        listener = unix or open_listener(host, port)
        async with open_recorder() as recorder:
            server = RunningServer(recorder, 0 if unix else listener.getsockname()[1])
            app = create_app(recorder, settings or HttpSettings(), runs)
            started.put(outcome.Value(server))
            try:
                await serve(
                    app,
                    [listener],
                    settings or HttpSettings(),
                    shutdown_trigger=server._shutdown.wait,
                )
            finally:
                server._ended.set()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:  # noqa: BLE001  passed on to the test's thread
            failures.append(error)
            started.put(outcome.Error(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    server = started.get(timeout=PATIENCE_SECONDS).unwrap()
    try:
        yield server
    finally:
        assert server.shut_down(), "the server does not shut down"
        thread.join(PATIENCE_SECONDS)
    assert not failures, failures
