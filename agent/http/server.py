"""The server: accepts connections, limits their number, and shuts down in bounded time.

Resources: two descriptors per listener, and one per connection for at most
`HttpSettings.max_connections` (fewer if the process may not open twice as many files).
"""

import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from quart_trio import QuartTrio

from agent.http.client_stream import ClientStream
from agent.http.connection import Connection, Phase
from agent.http.settings import HttpSettings
from agent.http.unsent import Unsent

LOGGER = logging.getLogger("agent.http")

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Transient errors of accept(2). The connection stays in the backlog, so it is not lost."""

RETRY_SECONDS = 0.1
"""Delay between attempts to accept or to make room, the same as in trio's serve_listeners."""

FIRST_TO_GO: tuple[Phase, ...] = ("waiting", "uploading", "downloading")
"""Phases in which a connection may be closed for a new one, in this order; within a phase, the one
that has been in it longest goes first. A connection whose request is being worked on is never
closed: it may be the runner waiting for its evidence."""

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


async def serve(
    app: QuartTrio,
    listeners: Sequence[socket.socket],
    settings: HttpSettings,
    *,
    shutdown_trigger: Callable[[], Awaitable[object]],
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` until ``shutdown_trigger`` returns, then finish within ``settings.grace``.

    Takes ownership of the ``listeners`` and closes them. Passes their addresses to
    ``task_status.started()``.
    """
    server = _Server(app, settings)
    async with trio.open_nursery() as nursery:
        try:
            async with trio.open_nursery() as accepting:
                for sock in listeners:
                    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                    accepting.start_soon(server.accept_from, listener, nursery)
                task_status.started([_address(sock) for sock in listeners])
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await server.finish()
        finally:
            server.abort_all()


class _Server:
    def __init__(self, app: QuartTrio, settings: HttpSettings) -> None:
        self._app = ASGIWrapper(app)
        self._settings = settings
        self._config = _hypercorn_config(settings)
        self._context = WorkerContext(max_requests=None)
        self._limit = _connection_limit(settings)
        self._connections: set[Connection] = set()
        self._unsent = Unsent()
        self._left = trio.lowlevel.ParkingLot()
        self._short_of_resources = False

    async def accept_from(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                stream = await self._accept(listener)
                if stream is None:
                    continue
                # nobody else would close it if we are cancelled while there is no room
                with contextlib.ExitStack() as unless_served:
                    unless_served.callback(stream.socket.close)
                    await self._make_room()
                    unless_served.pop_all()
                nursery.start_soon(self._run, self._connection(stream))

    async def _accept(self, listener: trio.SocketListener) -> trio.SocketStream | None:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                raise
            if not self._short_of_resources:
                LOGGER.error("cannot accept connections for now: %s", error)
            self._short_of_resources = True
            self._close_one()
            await trio.sleep(RETRY_SECONDS)
            return None
        self._short_of_resources = False
        return stream

    async def _make_room(self) -> None:
        while len(self._connections) >= self._limit and not self._close_one():
            # None may be closed: wait until a client leaves, or retry in case one becomes idle.
            with trio.move_on_after(RETRY_SECONDS):
                await self._left.park()

    def _close_one(self) -> bool:
        """Close the first connection by `FIRST_TO_GO`; return False if none may be closed."""
        candidates = [
            (FIRST_TO_GO.index(phase), connection.since, connection)
            for connection in self._connections
            if (phase := connection.phase) in FIRST_TO_GO
        ]
        if not candidates:
            return False
        *_, connection = min(candidates, key=lambda candidate: candidate[:2])
        connection.abort()
        self._connections.discard(connection)
        return True

    def _connection(self, stream: trio.SocketStream) -> Connection:
        certificate = self._settings.certificate
        is_local = stream.socket.family == socket.AF_UNIX
        tls = None if is_local or certificate is None else certificate.context
        client = ClientStream(stream, self._settings.send_timeout, self._unsent, tls)
        timeout = self._settings.handshake_timeout
        connection = Connection(self._app, self._config, self._context, client, timeout)
        self._connections.add(connection)
        return connection

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self._left.unpark_all()

    async def finish(self) -> None:
        """Let the requests in flight finish, for at most ``settings.grace``."""
        # On this event, idle connections close themselves; the others do so after their request.
        await self._context.terminated.set()
        with trio.move_on_after(self._settings.grace):
            while self._connections:
                await self._left.park()

    def abort_all(self) -> None:
        for connection in self._connections:
            connection.abort()


def _address(sock: socket.socket) -> Address:
    if sock.family == socket.AF_UNIX:
        return os.fsdecode(sock.getsockname())
    host, port, *_ = sock.getsockname()
    return host, port


def _hypercorn_config(settings: HttpSettings) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = LOGGER
    config.include_server_header = False
    config.keep_alive_timeout = settings.keep_alive_timeout
    return config


def _connection_limit(settings: HttpSettings) -> int:
    """Return the limit on connections; half of the open files are for the rest of the agent."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return settings.max_connections
    return max(1, min(settings.max_connections, soft // 2))
