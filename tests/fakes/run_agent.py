"""An agent of the contract that has one run at a time, and says which process it measures."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import FakeAgent, Request
from fakes.sample_evidence import evidence

ONE_RUN = ["GET /status", "POST /start", "GET /status", "POST /stop"]
"""What it is asked for one run."""


@dataclass
class RunAgent(FakeAgent):
    evidence: Any = field(default_factory=lambda: evidence(run_id="run-1"))
    run_id: str = ""
    busy: int = 0
    """How many starts are refused because somebody else's run is in progress."""
    elsewhere: timedelta = timedelta()
    """How much earlier the process of that number began, on the machine that the agent is on."""
    ending: bool = False
    """Whether it ends the run by itself, because it has been asked to end."""
    lacking: str = ""
    """Why nothing can be measured."""
    on_start: Callable[[int], None] = lambda pid: None
    """Called with the pid to measure, before the start is answered."""
    scopes: list[Any] = field(default_factory=list)
    machine: str = "box"
    boot_id: str = ""
    """Of its machine's kernel; empty as an agent of an earlier version, which does not say it."""
    lost: bool = False
    """Whether it answers a stop with an error."""

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        self.on_request(request)
        if request.route == "GET /status":
            return 200, self._status()
        if request.route == "POST /start":
            return self._start(json.loads(request.body))
        if request.route == "POST /stop" and self.lost:
            return 500, {"error": "internal_error", "message": "a defect"}
        if request.route == "POST /stop" and self.run_id:
            self.run_id = ""
            return 200, self.evidence
        if request.route == "POST /report":
            return 200, {"status": "metrics_reported"}
        if request.route == "GET /evidence/run-1":
            return 200, self.evidence
        return 409, {"error": "not_running", "message": "no run is in progress"}

    def _start(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refuse_start:
            return 422, {"error": "no_such_process", "message": "there is no process 1"}
        if self.busy:
            self.busy -= 1
            return 409, {
                "error": "run_in_progress",
                "message": "run r-0 is in progress",
                "run_id": "r-0",
                "started_at": "2026-03-01T10:11:12.000+00:00",
            }
        self.scopes.append(body.get("scope"))
        self.run_id = "run-1"
        started = {"status": "started", "run_id": "run-1", "available": not self.lacking}
        if self.lacking:
            return 200, {**started, "code": "no_capability", "reason": self.lacking}
        scope = body.get("scope")
        pid = scope.get("pid", 0) if isinstance(scope, dict) else 0
        self.on_start(pid)
        began = datetime.now(UTC) - self.elsewhere
        return 200, {**started, "scope": {"pid": pid, "process_started_at": began.isoformat()}}

    def _status(self) -> dict[str, Any]:
        return {
            "running": bool(self.run_id),
            "state": ("stopping" if self.ending else "running") if self.run_id else "idle",
            "run_id": self.run_id,
            "machine": self.machine,
            "boot_id": self.boot_id,
            "ebpf": {"available": True, "reason": None},
        }


def state(pid: int) -> str:
    """Return the state in /proc/PID/stat, also of a process that is stopped or a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return ""


@contextlib.contextmanager
def no_start_answered(agent: RunAgent) -> Iterator[None]:
    """Have the agent answer no start before this block has ended."""
    with not_answered(agent, lambda request: request.route == "POST /start"):
        yield


@contextlib.contextmanager
def no_end_answered(agent: RunAgent, number: int) -> Iterator[None]:
    """Have the agent answer nothing during its run of that number before this block has ended."""
    with not_answered(agent, lambda _: bool(agent.run_id) and len(agent.scopes) == number):
        yield


@contextlib.contextmanager
def ctrl_c_as_it_begins(agent: RunAgent) -> Iterator[None]:
    """Have this process get SIGINT while its start is answered, and expect it to be interrupted."""

    def interrupt(request: Request) -> None:
        if request.route == "POST /start":
            os.kill(os.getpid(), signal.SIGINT)

    agent.on_request = interrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def not_answered(agent: RunAgent, held: Callable[[Request], bool]) -> Iterator[None]:
    """Have the agent answer no request that is ``held`` before this block has ended."""
    over = threading.Event()

    def hold(request: Request) -> None:
        if held(request):
            over.wait()

    agent.on_request = hold
    try:
        yield
    finally:
        over.set()
