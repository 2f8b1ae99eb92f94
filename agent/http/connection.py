"""One connection: Hypercorn's, with the limits and the JSON errors that it lacks.

Built from Hypercorn's parts rather than through ``hypercorn.trio.serve``, because of what that
leaves open (0.18): no limit on connections, a send that a client can hold for ever (it is
shielded, so shutdown hangs with it), and errors with an empty body.
"""

import logging
from http import HTTPStatus
from typing import Literal, cast
from urllib.parse import urlsplit

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from agent.errors import AgentError
from agent.http.responses import encode, error_body

LOGGER = logging.getLogger("agent.http")

PIECE = 64 * 1024
"""A long answer is sent in pieces of this size, so that a slow reader is told from none at all."""

LINGER_SECONDS = 1.0
"""How long to read on after refusing a request that was not read to its end: closing at once makes
the kernel reset the connection, and the client may never see the refusal."""

Phase = Literal["waiting", "uploading", "downloading", "working"]


class ClientStream:
    """A `trio.SocketStream` whose sends end: with an error if nobody reads for a while."""

    def __init__(self, stream: trio.SocketStream, send_timeout: float) -> None:
        self.socket = stream.socket
        self.sending = False
        self._stream = stream
        self._send_timeout = send_timeout

    async def send_all(self, data: bytes) -> None:
        """Send ``data``. Raises `trio.BrokenResourceError` once a piece takes too long."""
        view = memoryview(data)
        self.sending = True
        try:
            for start in range(0, len(view), PIECE):
                # Hypercorn shields its sends from cancellation, but not from what is inside.
                with trio.fail_after(self._send_timeout):
                    await self._stream.send_all(view[start : start + PIECE])
        except trio.TooSlowError:
            # Closed as well, for there is a task that reads from this stream.
            self.close()
            raise trio.BrokenResourceError("the client does not read") from None
        finally:
            self.sending = False

    async def receive_some(self, max_bytes: int) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close(self) -> None:
        """Close without waiting; whoever reads or sends gets `trio.ClosedResourceError`."""
        self.socket.close()

    async def linger(self) -> None:
        """Say that no more will come, then throw away what does, for `LINGER_SECONDS`."""
        with trio.move_on_after(LINGER_SECONDS):
            try:
                await self._stream.send_eof()
                while await self._stream.receive_some(PIECE):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass


class Refused(Event):
    """A request was refused before its end: read on for a while before closing."""


class JsonH11Protocol(H11Protocol):
    """HTTP/1.1 and nothing else: no upgrade to HTTP/2 or WebSockets, errors as JSON."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Hypercorn turns to HTTP/2 here where a client asks for it in clear text."""

    async def _create_stream(self, request: h11.Request) -> None:
        if _is_acceptable(request):
            await super()._create_stream(request)
        else:
            await self._send_error_response(HTTPStatus.BAD_REQUEST)
            await self.send(Closed())

    async def _send_error_response(self, status_code: int) -> None:
        status = HTTPStatus(status_code)
        error = AgentError(
            f"{status.phrase}: this is not a request that HTTP/1.1 allows, or it is too long",
            code=status.name.lower(),
        )
        body = encode(error_body(error))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
        await self.send(Refused())


def _is_acceptable(request: h11.Request) -> bool:
    """Whether the application can tell a path from the target, and no other protocol is wanted."""
    if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in request.headers):
        return False
    if request.target.startswith(b"/"):
        return True
    try:
        return urlsplit(request.target.decode("ascii")).path.startswith("/")
    except ValueError:
        return False


class Connection(TCPServer):
    """Serves one client until it or the server has had enough."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        stream: ClientStream,
    ) -> None:
        state = ConnectionState({})
        # Of a stream it uses what ClientStream has, and do_handshake only where there is one.
        super().__init__(
            app, config, context, state, cast("trio.SSLStream[trio.SocketStream]", stream)
        )
        self.since = trio.current_time()
        """When it began to wait for a request, or to serve one."""
        self._client_stream = stream
        self._http: JsonH11Protocol | None = None
        self._left = False
        self._scope = trio.CancelScope()

    @property
    def phase(self) -> Phase:
        """What keeps this connection busy."""
        if self._client_stream.sending:
            return "downloading"
        if self._http is None:
            return "waiting"
        connection = self._http.connection
        if connection.their_state is h11.SEND_BODY:
            return "uploading"
        answer_is_owed = connection.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY)
        return "working" if answer_is_owed else "waiting"

    def abort(self) -> None:
        """End now, whatever it is doing."""
        self._scope.cancel()
        self._client_stream.close()

    async def run(self) -> None:
        """Serve. Raises nothing: a connection that fails must not take the others with it."""
        try:
            with self._scope:
                await self._serve()
        except OSError:
            pass  # The client is gone.
        except Exception:
            LOGGER.exception("a connection failed")
        finally:
            self._client_stream.close()

    async def protocol_send(self, event: Event) -> None:
        """What the protocol wants done: Hypercorn's way, with a few additions."""
        if isinstance(event, Refused):
            await self._client_stream.linger()
            return
        if isinstance(event, Updated):
            self.since = trio.current_time()
            if self._left:
                return
        # The end of an answer comes from the handler's task, which Quart-Trio cancels about then.
        # Without a shield "Connection: close" would close nothing, and the keep-alive timeout of
        # other connections would not begin. Sends are bounded by ClientStream, the rest is quick.
        with trio.CancelScope(shield=True):
            await super().protocol_send(event)

    async def _serve(self) -> None:
        """`TCPServer.run` for plain TCP, with our protocol in place of Hypercorn's choice."""
        socket = self._client_stream.socket
        client = parse_socket_addr(socket.family, socket.getpeername())
        server = parse_socket_addr(socket.family, socket.getsockname())
        try:
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self._http = JsonH11Protocol(
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState(self.state),
                    False,
                    client,
                    server,
                    self.protocol_send,
                )
                # Hypercorn's wrapper would only add the choice of HTTP/2.
                self.protocol = cast(ProtocolWrapper, self._http)
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
                # The client is gone, and must not keep its descriptor till the keep-alive timeout.
                self._left = True
                await self.idle_task.stop()
        finally:
            await self._close()
