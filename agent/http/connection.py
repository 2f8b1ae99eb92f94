"""One client connection: Hypercorn's, plus the limits and JSON errors that Hypercorn lacks.

Built from Hypercorn's parts instead of ``hypercorn.trio.serve``, which has four problems (as of
0.18): no limit on connections, a send that a client can block forever (it is shielded from
cancellation, so shutdown hangs too), errors with an empty body, and requests that are carried out
although what follows them has the client get an error, or no answer at all, or although the client
is gone.
"""

import contextlib
import logging
import ssl
from http import HTTPStatus
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from agent.errors import AgentError
from agent.http.parser import RequestParser
from agent.http.peers import PEER, peer_of
from agent.http.responses import encode, error_body
from agent.http.unsent import Unsent

LOGGER = logging.getLogger("agent.http")

PIECE = 64 * 1024
"""A long answer is sent in pieces of this size, to distinguish a client that reads slowly from one
that does not read at all."""

MAX_RECEIVE = 64 * 1024

LINGER_SECONDS = 1.0
"""How long to keep reading after an answer to a client that may still be sending. Closing at once
makes the kernel reset the connection, and the client may never see the answer."""

Phase = Literal["waiting", "uploading", "downloading", "working"]


class ClientStream:
    """A `trio.SocketStream` with a timeout on sends: they fail if the client stops reading."""

    def __init__(
        self,
        stream: trio.SocketStream,
        send_timeout: float,
        unsent: Unsent,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls``: encrypts what is sent and received; None: nothing does."""
        self.socket = stream.socket
        self.sending = False
        self._transport = stream
        self._tls = None if tls is None else _encrypted(stream, tls)
        self._stream = self._tls or stream
        self._send_timeout = send_timeout
        self._unsent = unsent

    @property
    def is_encrypted(self) -> bool:
        return self._tls is not None

    async def shake_hands(self, seconds: float) -> bool:
        """Agree with the client on its encryption, if any; return False if that fails."""
        if self._tls is None:
            return True
        try:
            with trio.fail_after(seconds):
                await self._tls.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return False
        return True

    async def send_all(self, data: bytes) -> None:
        """Send ``data``. Raises `trio.BrokenResourceError` if a piece takes too long.

        After a failure, the stream is closed.
        """
        view = memoryview(data)
        self.sending = True
        self._unsent.add(self, data)
        try:
            for start in range(0, len(view), PIECE):
                # Hypercorn shields its sends from cancellation; this scope is inside the shield.
                with trio.fail_after(self._send_timeout):
                    await self._stream.send_all(view[start : start + PIECE])
                self._unsent.has_moved(self)
        except (trio.TooSlowError, trio.BrokenResourceError):
            # Also end the read of the task that receives from this stream.
            self.close()
            raise trio.BrokenResourceError("the client does not read, or is gone") from None
        finally:
            self._unsent.remove(self)
            self.sending = False

    async def receive_some(self, max_bytes: int) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """Send EOF if the connection still stands."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._transport.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close(self) -> None:
        """Close without waiting; pending reads and sends raise `trio.ClosedResourceError`."""
        self.socket.close()


def _encrypted(stream: trio.SocketStream, tls: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    # https_compatible: few clients announce that they close, and HTTP says where answers end
    return trio.SSLStream(stream, tls, server_side=True, https_compatible=True)


class JsonH11Protocol(H11Protocol):
    """HTTP/1.1 only: no upgrade to HTTP/2 or WebSockets, and errors as JSON."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._parser = RequestParser(self.config.h11_max_incomplete_size)
        self.connection = cast(h11.Connection, self._parser)

    @property
    def answer_is_owed(self) -> bool:
        """Whether a request has arrived whose answer has not been sent to its end."""
        return self.connection.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY)

    @property
    def client_may_send_more(self) -> bool:
        """Whether bytes may arrive that nobody will read: the rest of a body or of what was
        refused, or anything at all after the last request of the connection."""
        return self.connection.their_state in (h11.SEND_BODY, h11.MUST_CLOSE, h11.ERROR)

    async def handle(self, event: Event) -> None:
        """Handle an event as Hypercorn does, but carry out nothing after `Closed`.

        Hypercorn would go on with the requests that a client has sent in advance: up to 64 KiB of
        them, each carried out for nobody. The task that would notice that is the one inside them.
        """
        if isinstance(event, Closed):
            self._parser.end()
            # It may be waiting for the end of an answer after which Hypercorn reads no request.
            await self.can_read.set()
        await super().handle(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Do nothing. Hypercorn switches to HTTP/2 here if a client requests it in cleartext."""

    async def _create_stream(self, request: h11.Request) -> None:
        if _is_acceptable(request):
            await super()._create_stream(_in_origin_form(request))
        else:
            await self._send_error_response(HTTPStatus.BAD_REQUEST)
            await self.send(Closed())

    async def _send_error_response(self, status_code: int) -> None:
        status = HTTPStatus(status_code)
        error = AgentError(
            f"{status.phrase}: this is not a valid HTTP/1.1 request, or it is too long",
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


def _is_websocket(upgrade: bytes) -> bool:
    """Whether Hypercorn would take this for WebSockets: it strips more than a header's spaces."""
    return upgrade.decode("latin-1").strip().lower() == "websocket"


def _is_acceptable(request: h11.Request) -> bool:
    """Return whether the target contains a path, the body has one length only, and no upgrade to
    WebSockets is requested.

    With both Transfer-Encoding and Content-Length, a proxy may see another end of the request than
    we do, and what follows that as a part of it. A server may refuse that, and has to close the
    connection in any case (RFC 9112, section 6.1).
    """
    if any(name == b"upgrade" and _is_websocket(value) for name, value in request.headers):
        return False
    if {b"transfer-encoding", b"content-length"} <= {name for name, _ in request.headers}:
        return False
    if request.target.startswith(b"/"):
        return True
    try:
        return urlsplit(request.target.decode("ascii")).path.startswith("/")
    except ValueError:
        return False


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Return an acceptable request with the path and query of its target only.

    Hypercorn decodes a whole URL before Quart parses it, and what ``http://%5b/`` becomes is none:
    that would be an empty 500, and a traceback in the log.
    """
    if request.target.startswith(b"/"):
        return request
    url = urlsplit(request.target.decode("ascii"))
    target = url.path + (f"?{url.query}" if url.query else "")
    return h11.Request(
        method=request.method,
        target=target,
        headers=request.headers,
        http_version=request.http_version,
    )


class Connection(TCPServer):
    """One client's connection, served until either side ends it."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        stream: ClientStream,
        handshake_timeout: float,
    ) -> None:
        state = ConnectionState({})
        self._handshake_timeout = handshake_timeout
        # Apart from run(), which is overridden, TCPServer uses only what ClientStream has.
        super().__init__(
            app, config, context, state, cast("trio.SSLStream[trio.SocketStream]", stream)
        )
        self.since = trio.current_time()
        """When the connection began to wait for a request, or to serve one."""
        self._client_stream = stream
        self._http: JsonH11Protocol | None = None
        self._left = False
        self._winding_down = False
        self._scope = trio.CancelScope()

    @property
    def phase(self) -> Phase:
        """The current activity of the connection."""
        if self._client_stream.sending:
            return "downloading"
        if self._http is None:
            return "waiting"
        if self._http.connection.their_state is h11.SEND_BODY:
            return "uploading"
        return "working" if self._http.answer_is_owed else "waiting"

    def abort(self) -> None:
        """End the connection immediately, in any phase."""
        self._scope.cancel()
        self._client_stream.close()

    async def run(self) -> None:
        """Serve the client. Raises nothing: a failing connection must not end the others."""
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
        """Handle an event of the protocol as Hypercorn does, with a few additions."""
        if isinstance(event, Updated):
            self.since = trio.current_time()
            if self._left:
                return
        # The end of an answer is sent by the handler's task, which Quart-Trio cancels at about that
        # time. Without a shield, "Connection: close" would close nothing, and on other connections
        # the keep-alive timeout would not start. ClientStream limits sends; the rest is quick.
        with trio.CancelScope(shield=True):
            if isinstance(event, Closed) and self._http and self._http.client_may_send_more:
                await self._wind_down()
            else:
                await super().protocol_send(event)

    async def _wind_down(self) -> None:
        """Send EOF, then have the task that reads discard what arrives until the client closes.

        That takes `LINGER_SECONDS` at most.
        """
        self._winding_down = True
        await self._client_stream.send_eof()
        await self.protocol.handle(Closed())
        if not self._left:
            await self.idle_task.restart(self._task_group, self._close_later)

    async def _close_later(self) -> None:
        await trio.sleep(LINGER_SECONDS)
        self._client_stream.close()

    async def _read_data(self) -> None:
        """Read until the client leaves, or has sent its last request and EOF.

        EOF says only that the client sends nothing more: it may be waiting for its answer, as
        ``printf … | nc -N`` does. A client that has closed its socket looks the same until it is
        sent something; until then its handler goes on.
        """
        at_end = False
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            while not at_end:
                data = await self._client_stream.receive_some(MAX_RECEIVE)
                at_end = not data
                if not self._winding_down:
                    await self.protocol.handle(RawData(data))
        if not (at_end and self.phase == "working"):
            await self.protocol.handle(Closed())

    async def _serve(self) -> None:
        """Do what `TCPServer.run` does for plain TCP, but with our own protocol class."""
        socket = self._client_stream.socket
        client = parse_socket_addr(socket.family, socket.getpeername())
        server = parse_socket_addr(socket.family, socket.getsockname())
        try:
            if not await self._client_stream.shake_hands(self._handshake_timeout):
                return
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self._http = JsonH11Protocol(
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState({**self.state, PEER: peer_of(socket)}),
                    self._client_stream.is_encrypted,
                    client,
                    server,
                    self.protocol_send,
                )
                # Hypercorn's wrapper would only add the choice between HTTP/1.1 and HTTP/2.
                self.protocol = cast(ProtocolWrapper, self._http)
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
                # The client is gone: do not hold its descriptor until the keep-alive timeout.
                self._left = True
                await self.idle_task.stop()
        finally:
            await self._close()
