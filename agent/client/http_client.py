"""A Python client for the agent's HTTP API, using only the standard library.

It ignores proxy settings in the environment. The agent runs on this machine or nearby, and a proxy
would see the evidence.
"""

import contextlib
import io
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.client import http_messages
from agent.client.access import NOTHING, Access, NotAsked, NoToken, from_environment
from agent.client.urls import address_of
from agent.words import COMPILE_DEADLINE_S, Json, in_words

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST_ERROR, UNAUTHORIZED = 400, 401
ANSWER_TIMEOUT_S = 60.0
"""Longer than a start whose probes take as long to compile as they may by default. Of an agent with
a longer ``--compile-deadline`` see `AgentClient.allow_compiling`."""
BESIDE_COMPILING_S = ANSWER_TIMEOUT_S - COMPILE_DEADLINE_S
"""How much longer than a compilation a start may take."""
LONGEST_WAIT_S = 86400.0
STATUS_TIMEOUT_S = 3.0
"""An agent answers /status without waiting for the kernel."""
SLOW_S = 1.0
"""After this, whoever waits for an answer would like to know why."""
LONGEST_PAGE = 200
"""Characters that are shown of a page of something else: what follows them says what to do."""
LOOK_S = 0.1
"""Time between two looks whether to go on waiting."""


class AgentUnreachable(Exception):
    """No answer, one that an agent would not send, or no request, for want of the token."""


class AnswerLost(AgentUnreachable):
    """The request was sent, at least in part, but no whole answer came: it may be carried out.

    What is no JSON object is none: an agent's answer was cut off, or something else has answered.
    """

    @property
    def is_late(self) -> bool:
        """Whether the answer was waited for to the end, rather than that the connection broke."""
        return isinstance(self.__cause__, TimeoutError)


class AgentRefused(Exception):
    """A non-2xx answer: its HTTP ``status``, and the agent's ``code`` and ``message``.

    ``answer`` is the whole JSON object, empty if it was none. ``challenge``: what an agent that
    requires a token sends with its refusal.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        answer: Mapping[str, Any] | None = None,
        challenge: str = "",
    ) -> None:
        super().__init__(f"{status} {code}: {message}" if code else f"{status}: {message}")
        self.answer = answer or {}
        self.challenge = challenge
        self.status = status
        self.code = code
        self.message = message

    @property
    def is_lost(self) -> bool:
        """Whether this is the error of something else, which may have asked the agent.

        An agent's errors have a code. A redirection (3xx) has asked nobody.
        """
        return not self.code and self.status >= FIRST_ERROR


Waiting = Callable[[socket.socket, float], None]
"""Called every `LOOK_S` while nothing comes, with the connection and how long that has been."""


class _UntilDeadline(io.RawIOBase):
    """What a socket receives until a deadline, also if an answer only trickles in.

    The socket's own time-out begins again with each piece.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline = 0.0
        self.on_wait: Waiting | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        began = time.monotonic()
        while True:
            left = self._left()
            self._sock.settimeout(left if self.on_wait is None else min(left, LOOK_S))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                if self.on_wait is None:
                    raise
                self.on_wait(self._sock, time.monotonic() - began)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


Connecting = Callable[[], contextlib.AbstractContextManager[object]]
"""What is entered while a connection is opened: nothing has been asked yet."""

KNOWN_PLAIN: set[str] = set()
"""URLs whose agents have answered this process without TLS, or said that they do not serve it."""


class Connection:
    """One connection to an agent, opened by the first request. Not thread-safe.

    ``timeout_s`` is for connecting, and for each request from its sending to its whole answer.
    ``access`` is what the agent is shown over TCP; over a Unix socket the kernel says who asks.
    """

    def __init__(self, url: str, timeout_s: float, access: Access = NOTHING) -> None:
        self.connecting: Connecting = contextlib.nullcontext
        self._url = url
        self._access = access
        self._timeout_s = timeout_s
        self._address = address_of(url)
        self._open: tuple[socket.socket, _UntilDeadline, io.BufferedReader] | None = None

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        on_wait: Waiting | None = None,
    ) -> bytes:
        """Return the body of the answer. Raises `AgentRefused` or `AgentUnreachable`."""
        data = None if body is None else json.dumps(body).encode()
        failure = AgentUnreachable
        try:
            token = "" if self._address.path else self._access.token(self._url)
            if self._open is None:
                with self.connecting():
                    self._open = self._connect()
            sock, received, stream = self._open
            received.deadline = time.monotonic() + self._timeout_s
            received.on_wait = on_wait
            sock.settimeout(self._timeout_s)
            target, host = self._address.prefix + path, self._address.shown_host
            request = http_messages.request(method, target, host, data, token)
            failure = AnswerLost
            sock.sendall(request)
            answer = http_messages.read_answer(stream)
            if not self._address.tls:
                KNOWN_PLAIN.add(self._url)
        except NotAsked as error:
            raise AgentUnreachable(f"nothing was sent to {self._url}: {in_words(error)}") from error
        except (OSError, UnicodeError, http_messages.NoAnswer) as error:
            self.close()
            why = f"{in_words(error)}{self._tls_hint(error)}"
            raise failure(f"no answer from {self._url}: {why}") from error
        if not answer.reusable:
            self.close()
        if not 200 <= answer.status < 300:
            raise _refusal(answer, self._lacking(answer, token))
        return answer.body

    def close(self) -> None:
        if self._open is not None:
            for end in reversed(self._open):
                end.close()
            self._open = None

    def _lacking(self, answer: http_messages.Answer, token: str) -> str:
        """Return why no token was sent to an agent that refuses for want of one, if it is known."""
        if token or self._address.path or answer.status != UNAUTHORIZED:
            return ""
        try:
            return self._access.lacking(self._url)
        except NoToken:
            return ""

    def _tls_hint(self, error: Exception) -> str:
        """Return what to try where the other end may have waited for TLS, which closes so."""
        closed = isinstance(error, http_messages.Closed | ConnectionResetError)
        address = self._address
        may_be_tls = not (address.path or address.tls or self._url in KNOWN_PLAIN)
        return "; an agent that serves TLS has a URL of https://" if closed and may_be_tls else ""

    def _connect(self) -> tuple[socket.socket, _UntilDeadline, io.BufferedReader]:
        address = self._address
        with contextlib.ExitStack() as unless_connected:
            if address.path:
                sock = unless_connected.enter_context(socket.socket(socket.AF_UNIX))
                sock.settimeout(self._timeout_s)
                sock.connect(address.path)
            else:
                sock = socket.create_connection((address.host, address.port), self._timeout_s)
                unless_connected.enter_context(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                from agent.client.tls import encrypted

                sock = encrypted(sock, address.host, self._access)
            unless_connected.pop_all()
        received = _UntilDeadline(sock)
        return sock, received, io.BufferedReader(received)


class AgentClient:
    """An agent at a base URL. Each request has its own connection, so threads may share it.

    ``timeout_s`` is for each answer, by default a minute; ``access`` is what it is shown over TCP.
    Raises ValueError for a URL that is none of ``http://HOST[:PORT]``, ``https://HOST[:PORT]`` and
    ``unix:/PATH``.
    """

    def __init__(self, url: str, timeout_s: float | None = None, access: Access = NOTHING) -> None:
        self.url = url.rstrip("/")
        self.on_slow: Callable[[], None] | None = None
        """Called when an answer takes longer than `SLOW_S`."""
        self.on_wait: Callable[[socket.socket], None] | None = None
        """Called every `LOOK_S` while an answer is waited for; what it raises ends the wait."""
        self.connecting: Connecting = contextlib.nullcontext
        self._timeout_s = ANSWER_TIMEOUT_S if timeout_s is None else timeout_s
        self._may_wait_longer = timeout_s is None
        self.access = access
        address_of(self.url)  # raises at once if it is malformed

    @classmethod
    def named(cls, url: str, timeout_s: float | None = None) -> "AgentClient":
        """Return the agent that the user has named: it gets the user's token."""
        return cls(url, timeout_s, from_environment())

    def allow_compiling(self, deadline_s: object) -> None:
        """Wait for answers longer than the agent's probes may take to compile.

        ``deadline_s``: as /status gives it, which agents of earlier versions do not. Without effect
        where a time-out was given.
        """
        if self._may_wait_longer and isinstance(deadline_s, int | float):
            longest = min(deadline_s + BESIDE_COMPILING_S, LONGEST_WAIT_S)
            self._timeout_s = max(self._timeout_s, longest)

    @property
    def pid(self) -> int | None:
        """The agent's, if it is a child of this process."""
        return None

    def kill(self) -> None:
        """End the agent at once, if it is a child of this process."""

    def poll(self) -> None:
        """Notice whether the agent has ended, if it is a child of this process."""

    def logged_evidence(self, run_id: str) -> Json | None:
        """Return the evidence of a run that the agent logged as it ended; None if not known."""
        return None

    def get(self, path: str) -> Json:
        """Return the JSON answer. Raises `AgentRefused` or `AgentUnreachable`."""
        return self._json("GET", path, None)

    def status_soon(self) -> Json:
        """Return the agent's status as `get` does, but do not wait long for it."""
        timeout_s = min(self._timeout_s, STATUS_TIMEOUT_S)
        brief = AgentClient(self.url, timeout_s, self.access)
        brief.on_wait = self.on_wait
        return brief.get("/status")

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Return the JSON answer. Raises `AgentRefused` or `AgentUnreachable`."""
        return self._json("POST", path, body)

    def delete(self, path: str) -> Json:
        """Return the JSON answer. Raises `AgentRefused` or `AgentUnreachable`."""
        return self._json("DELETE", path, None)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Return the body of the answer. Raises `AgentRefused` or `AgentUnreachable`."""
        with self.connection() as connection:
            return connection.send(method, path, body, self._waiting())

    def _waiting(self) -> Waiting | None:
        """Return what is done while one answer is waited for."""
        on_slow, on_wait = self.on_slow, self.on_wait

        def wait(sock: socket.socket, waited_s: float) -> None:
            nonlocal on_slow
            if on_slow is not None and waited_s >= SLOW_S:
                on_slow()
                on_slow = None
            if on_wait is not None:
                on_wait(sock)

        return wait if on_slow or on_wait else None

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield one connection for many requests, to measure the agent rather than TCP setup."""
        connection = Connection(self.url, self._timeout_s, self.access)
        connection.connecting = self.connecting
        try:
            yield connection
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None) -> Json:
        answer = self.send(method, path, body)
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError):
            decoded = None
        if not isinstance(decoded, dict):
            raise AnswerLost(f"{self.url}{path} did not answer with a JSON object")
        return decoded


def _refusal(answer: http_messages.Answer, beside: str = "") -> AgentRefused:
    status, challenge = answer.status, answer.challenge
    try:
        said = json.loads(answer.body)
        code, message = str(said["error"]), f"{said['message']}{beside}"
    except (ValueError, KeyError, TypeError):
        words = " ".join(answer.body.decode(errors="replace").split())
        page = words if len(words) <= LONGEST_PAGE else f"{words[:LONGEST_PAGE]}…"
        said = page or "an answer that no agent gives"
        return AgentRefused(status, "", said, challenge=challenge)
    return AgentRefused(status, code, message, said, challenge)
