"""Hypercorn's HTTP/1.1 with errors in JSON, which drops requests whose client is gone."""

from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import h11
from hypercorn.events import Closed, Event
from hypercorn.protocol.h11 import H11Protocol

from agent.errors import AgentError
from agent.http.parser import RequestParser
from agent.http.responses import encode, error_body


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
