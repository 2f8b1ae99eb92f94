"""A Python client for the agent's HTTP API, using only the standard library.

It ignores proxy settings in the environment, because ``http.client`` does not read them. The
agent runs on this machine or nearby, and a proxy would see the evidence.
"""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from agent.model import Json

UNIX = "unix:"
"""What the URL of a Unix socket begins with; its absolute path follows."""
ANSWER_TIMEOUT_S = 60.0
"""Longer than the slowest start, which compiles the probes."""


class AgentUnreachable(Exception):
    """No answer, or one that an agent would not send."""


class AgentRefused(Exception):
    """A non-2xx answer: its HTTP ``status``, and the agent's ``code`` and ``message``.

    ``answer`` is the whole JSON object, empty if it was none.
    """

    def __init__(
        self, status: int, code: str, message: str, answer: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}" if code else f"{status}: {message}")
        self.answer = answer or {}
        self.status = status
        self.code = code
        self.message = message


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        with contextlib.ExitStack() as unless_connected:
            sock = unless_connected.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(self.timeout)
            sock.connect(self._path)
            unless_connected.pop_all()
        self.sock = sock


def socket_path(url: str) -> str:
    """Return the path in ``unix:/PATH``, as a URL of an agent; empty for any other URL."""
    path = url.removeprefix(UNIX)
    return path if path != url and path.startswith("/") else ""


class Connection:
    """One connection to an agent, opened by the first request. Not thread-safe."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        if path := socket_path(url):
            self._prefix = ""
            self._http: http.client.HTTPConnection = _UnixConnection(path, timeout_s)
            return
        address = urlsplit(url)
        if address.scheme != "http" or not address.hostname:
            raise ValueError(
                f"{url} is not the URL of an agent (expected http://HOST:PORT or unix:/PATH)"
            )
        self._prefix = address.path.rstrip("/")
        self._http = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Return the body of the answer. Raises `AgentRefused` or `AgentUnreachable`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self._http.request(method, self._prefix + path, data, headers)
            response = self._http.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise AgentUnreachable(f"no answer from {self._url}: {in_words(error)}") from error
        if not 200 <= response.status < 300:
            raise _refusal(response.status, answer)
        return answer

    def close(self) -> None:
        self._http.close()


class AgentClient:
    """An agent at a base URL. Each request has its own connection, so threads may share it.

    Raises ValueError for a URL that is neither ``http://HOST[:PORT]`` nor ``unix:/PATH``.
    """

    def __init__(self, url: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        Connection(self.url, timeout_s).close()

    def get(self, path: str) -> Json:
        """Return the JSON answer. Raises `AgentRefused` or `AgentUnreachable`."""
        return self._json("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Return the JSON answer. Raises `AgentRefused` or `AgentUnreachable`."""
        return self._json("POST", path, body)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Return the body of the answer. Raises `AgentRefused` or `AgentUnreachable`."""
        with self.connection() as connection:
            return connection.send(method, path, body)

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield one connection for many requests, to measure the agent rather than TCP setup."""
        connection = Connection(self.url, self._timeout_s)
        try:
            yield connection
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None) -> Json:
        answer = self.send(method, path, body)
        try:
            decoded = json.loads(answer)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise AgentUnreachable(f"{self.url}{path} did not answer with a JSON object")
        return decoded


def in_words(error: BaseException) -> str:
    """Return the system's words for an error, such as "Connection refused", or the error's own."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _refusal(status: int, body: bytes) -> AgentRefused:
    try:
        answer = json.loads(body)
        return AgentRefused(status, str(answer["error"]), str(answer["message"]), answer)
    except (ValueError, KeyError, TypeError):
        return AgentRefused(status, "", body.decode(errors="replace"))
