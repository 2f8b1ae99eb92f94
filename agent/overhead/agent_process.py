"""An agent of its own as a child process, spoken to over HTTP like any other client does."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

READY = re.compile(r"^listening on (http://\S+)", re.MULTILINE)
START_SECONDS = 30.0
"""Importing and binding take a second; a machine under full load takes many."""
STOP_SECONDS = 10.0
REQUEST_SECONDS = 60.0
POLL_SECONDS = 0.02
LOG_LINES = 5


class AgentFailed(Exception):
    """The agent did not start, or died; the text has its last words."""


class AgentRefused(Exception):
    """An HTTP answer that is not 2xx; carries ``status`` and the agent's ``message``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class AgentProcess:
    """``with AgentProcess() as agent: agent.post("/start", {...})``. Owns the process.

    Output goes to a temporary file rather than a pipe: nobody reads it while a workload runs, and
    a full pipe would stop the agent.
    """

    def __init__(self, arguments: Sequence[str] = (), interpreter: str | None = None) -> None:
        self._command = [interpreter or sys.executable, "-m", "agent", "--port", "0", *arguments]
        self.url = ""

    def __enter__(self) -> Self:
        self._log = tempfile.NamedTemporaryFile(prefix="chainbench-agent-", suffix=".log")
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
            )
        except OSError as error:
            self._log.close()
            raise AgentFailed(str(error)) from error
        try:
            self.url = self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer. Raises `AgentRefused` or `AgentFailed`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._json(Request(self.url + path, data, headers, method="POST"))

    def get(self, path: str) -> dict[str, Any]:
        """The JSON answer. Raises `AgentRefused` or `AgentFailed`."""
        return self._json(Request(self.url + path))

    def get_text(self, path: str) -> str:
        """The answer as it is (``/metrics``). Raises `AgentRefused` or `AgentFailed`."""
        return self._send(Request(self.url + path))

    def _json(self, request: Request) -> dict[str, Any]:
        answer = json.loads(self._send(request))
        if not isinstance(answer, dict):
            raise AgentFailed(f"{request.full_url} answered no JSON object")
        return answer

    def _send(self, request: Request) -> str:
        try:
            with urlopen(request, timeout=REQUEST_SECONDS) as response:
                return str(response.read().decode())
        except HTTPError as error:
            raise AgentRefused(error.code, _message(error.read())) from error
        except (URLError, OSError) as error:
            raise AgentFailed(
                f"the agent does not answer: {error}\n{self._last_words()}"
            ) from error

    def _wait_until_ready(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ready = READY.search(Path(self._log.name).read_text(errors="replace"))
            if ready:
                return ready[1]
            if self._process.poll() is not None:
                raise AgentFailed(f"the agent ended at its start:\n{self._last_words()}")
            time.sleep(POLL_SECONDS)
        raise AgentFailed(
            f"the agent was not ready in {START_SECONDS:.0f} s:\n{self._last_words()}"
        )

    def _last_words(self) -> str:
        return "\n".join(Path(self._log.name).read_text(errors="replace").splitlines()[-LOG_LINES:])

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
