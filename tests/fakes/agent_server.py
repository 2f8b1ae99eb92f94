"""A minimal agent that implements the contract and records the requests it received."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any, ClassVar, TypeVar

from fakes.ports import HOST, refusing_port
from fakes.sample_evidence import evidence, status

from agent.words import CHALLENGE

AgentT = TypeVar("AgentT", bound="FakeAgent")


@dataclass(frozen=True)
class Request:
    route: str
    body: bytes
    content_type: str | None
    authorization: str | None = None


@dataclass
class FakeAgent:
    challenge: ClassVar[str] = CHALLENGE
    """What comes with each 401."""
    evidence: Any = field(default_factory=evidence)
    """The answer to /stop; a test may choose one that is no evidence."""
    refuse_start: bool = False
    requests: list[Request] = field(default_factory=list)
    on_request: Callable[[Request], None] = lambda request: None
    url: str = ""

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        self.on_request(request)
        if request.route == "POST /start" and self.refuse_start:
            return 409, {"error": "run_in_progress", "message": "run r-1 is in progress"}
        answers = {
            "POST /start": {"status": "started"},
            "POST /stop": self.evidence,
            "GET /status": status(),
        }
        return 200, answers[request.route]

    @property
    def routes(self) -> list[str]:
        return [request.route for request in self.requests]


@contextlib.contextmanager
def ended() -> Iterator[FakeAgent]:
    """Yield an agent that serves no longer, on whose port nobody else serves either."""
    with refusing_port() as port:
        yield FakeAgent(url=f"http://{HOST}:{port}")


@contextlib.contextmanager
def serving(agent: AgentT, unix: Path | None = None) -> Iterator[AgentT]:
    """Serve the agent on a free local port, or a Unix socket, until the context is left."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            kind = self.headers.get("Content-Type")
            token = self.headers.get("Authorization")
            code, answer = agent.answer(Request(f"{self.command} {self.path}", body, kind, token))
            payload = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(payload)))
            if code == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", agent.challenge)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # a client that did not wait
                self.wfile.write(payload)

        do_GET = do_POST = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            pass

    server: ThreadingHTTPServer | ThreadingUnixStreamServer
    if unix is not None:
        server, agent.url = ThreadingUnixStreamServer(str(unix), Handler), f"unix:{unix}"
    else:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        agent.url = f"http://127.0.0.1:{server.server_port}"
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield agent
        finally:
            server.shutdown()
            thread.join()
