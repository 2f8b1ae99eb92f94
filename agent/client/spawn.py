"""Run an agent as a child process for as long as it is needed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from agent.client.children import child
from agent.client.http_client import KNOWN_PLAIN, AgentClient, AgentUnreachable
from agent.client.interpreter import Invocation, own_module
from agent.exit_status import how_it_ended
from agent.model import EVIDENCE_FOLLOWS
from agent.words import PRIVATE, Json

SETTING = "CHAINBENCH_"
"""How variables that set something begin (`agent.cli.layers`)."""
OF_A_SERVICE = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"),
    *("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"),
)
"""What systemd sets for a service (systemd.exec(5), sd_notify(3), sd_listen_fds(3)). If this
process is one, that is not meant for an agent that it starts."""
READY = re.compile(r"^listening on (https?://\S+)\n", re.MULTILINE)
START_TIMEOUT_S = 30.0
"""Importing and binding take a second, but many seconds on a fully loaded machine."""
POLL_S = 0.02
EXIT_S = 5.0
"""How long an agent that has ceased to answer may take to exit, and to log why."""
LONGEST_WORDS = 500
"""Characters quoted of a log line."""


class AgentDidNotStart(Exception):
    """The agent exited or timed out before it listened; the text quotes its log's last line."""


class RunningAgent(AgentClient):
    """A client of an agent that runs as a child of this process."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: IO[bytes]) -> None:
        super().__init__(url)
        KNOWN_PLAIN.add(self.url)  # or it is one of https://
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> None:
        self.process.poll()

    def kill(self) -> None:
        """End it at once, with what it has not been asked for, if it leads a group of its own.

        Asked to end, it would first answer what it has been asked, as far as that takes seconds.
        """
        with contextlib.suppress(ProcessLookupError):  # it leads none, or has ended
            os.killpg(self.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        """The agent's output so far."""
        return _text(self._log)

    def logged_evidence(self, run_id: str) -> Json | None:
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                evidence = json.loads(line.partition(EVIDENCE_FOLLOWS)[2])
                if isinstance(evidence, dict) and evidence.get("run_id") == run_id:
                    return evidence
        return None

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Do as `AgentClient.send`; the error also says how the agent ended, and its last words."""
        try:
            return super().send(method, path, body)
        except AgentUnreachable as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(EXIT_S)
            state = _state(self.process.returncode)
            raise AgentUnreachable(f"{error}; the agent {state}{_last_words(self._log)}") from error


@contextlib.contextmanager
def running_agent(
    arguments: Sequence[str] = (),
    *,
    invocation: Invocation | None = None,
    log: Path | None = None,
    stderr: int | IO[Any] | None = subprocess.STDOUT,
    timeout_s: float = START_TIMEOUT_S,
    own_group: bool = False,
) -> Iterator[RunningAgent]:
    """Start an agent on a free port, yield it once it listens, and end it.

    ``invocation`` replaces the installed agent; ``--port 0`` and ``arguments`` are added to its
    command. The agent's output goes to the file ``log`` or to one without a name: a pipe that
    nobody reads while a workload runs would fill up and block the agent. ``stderr`` is passed to
    Popen; None sends the agent's diagnostics to this process's stderr. With ``own_group``, a signal
    to this process's group, as ``timeout`` sends it, is not one to the agent. The agent logs what
    goes wrong, and nothing else. Raises `AgentDidNotStart`.
    """
    started = invocation or _own_agent()
    started = replace(
        started,
        command=(*started.command, "--port", "0", *arguments),
        environment={**started.environment, PRIVATE: "1"},
    )
    with contextlib.ExitStack() as stack:
        try:
            output = stack.enter_context(_log_file(log))
            process = stack.enter_context(
                child(
                    started,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=stderr,
                    process_group=0 if own_group else None,
                )
            )
        except OSError as error:
            raise AgentDidNotStart(str(error)) from error
        yield RunningAgent(process, wait_for_url(process, output, timeout_s), output)


def _own_agent() -> Invocation:
    """Return the invocation of an agent that has the settings it is given and no others.

    Variables and a file that they name are meant for a service, and so is what systemd says.
    """
    installed = own_module("agent")
    kept = {
        name: value
        for name, value in installed.environment.items()
        if not name.startswith(SETTING) and name not in OF_A_SERVICE
    }
    return replace(installed, environment=kept)


def _log_file(path: Path | None) -> IO[bytes]:
    if path is not None:
        return path.open("w+b")
    return tempfile.TemporaryFile()  # has no name, so it is gone with the last process that has it


def wait_for_url(process: "subprocess.Popen[bytes]", log: IO[bytes], timeout_s: float) -> str:
    """Return the URL that an agent prints to its log. Raises `AgentDidNotStart`."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        if ready := READY.search(_text(log)):
            return ready[1]
        time.sleep(POLL_S)
    status = process.poll()
    if status is None:
        complaint = f"did not listen within {timeout_s:g} s"
    else:
        complaint = f"{_state(status)} before it listened"
    raise AgentDidNotStart(f"the agent {complaint}{_last_words(log)}")


def _state(status: int | None) -> str:
    """Return what became of an agent, from the return code that Popen has for it."""
    return "is still running" if status is None else how_it_ended(status)


def _text(log: IO[bytes]) -> str:
    """Return the log so far. The agent writes at the file's position, so this must not move it."""
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode(errors="replace")


def _last_words(log: IO[bytes]) -> str:
    """Return the log's last line as it follows a statement, or an empty string without one.

    That is where an error says what it is, be it a message or a traceback; where an agent listens
    is no error. Evidence is not quoted.
    """
    lines = READY.sub("", _text(log)).splitlines()
    said = [line.partition(EVIDENCE_FOLLOWS)[0].strip() for line in lines]
    last = next((line for line in reversed(said) if line), "")
    shown = last if len(last) <= LONGEST_WORDS else f"{last[: LONGEST_WORDS - 1]}…"
    return f": {shown}" if shown else ""
