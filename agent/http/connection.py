"""One client connection: Hypercorn's, plus the limits and JSON errors that Hypercorn lacks.

Built from Hypercorn's parts instead of ``hypercorn.trio.serve``, which has four problems (as of
0.18): no limit on connections, a send that a client can block forever (it is shielded from
cancellation, so shutdown hangs too), errors with an empty body, and requests that are carried out
although what follows them has the client get an error, or no answer at all, or although the client
is gone.
"""

import contextlib
import logging
from typing import Literal, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from agent.http.client_stream import ClientStream
from agent.http.json_protocol import JsonH11Protocol
from agent.http.peers import PEER, peer_of

LOGGER = logging.getLogger("agent.http")

MAX_RECEIVE = 64 * 1024

LINGER_SECONDS = 1.0
"""How long to keep reading after an answer to a client that may still be sending. Closing at once
makes the kernel reset the connection, and the client may never see the answer."""

Phase = Literal["waiting", "uploading", "downloading", "working"]


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
