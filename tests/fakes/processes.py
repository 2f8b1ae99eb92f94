"""An agent that a test may kill, and the BPF objects that its processes hold and leave behind."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakes.real_agent import RealAgent
from fakes.waiting import PATIENCE_SECONDS, POLL_SECONDS, eventually

from agent.client.interpreter import Invocation, own_module
from agent.client.spawn import RunningAgent, running_agent, wait_for_url


def state_of(pid: int) -> str:
    """Return the state in /proc/PID/stat; empty once the process is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state = stat[stat.rindex(")") + 2]
    return "" if state in "ZX" else state


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process for the duration of the block (SIGSTOP)."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def children(pid: int) -> set[int]:
    """Return the children of a process's main thread (needs CONFIG_PROC_CHILDREN)."""
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


def command_of(pid: int) -> str:
    """Return a process's command line; empty once the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def name_of(pid: int) -> str:
    """Return the name that ``ps`` shows for a process; empty once the process is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def descendants(pid: int) -> set[int]:
    """Return a process's children, their children, and so on."""
    found = children(pid)
    return found.union(*map(descendants, found))


def status_field(pid: int, name: str) -> str:
    """Return the value of a line of /proc/PID/status."""
    [line] = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith(name)]
    return line.split(":", 1)[1].strip()


def held(pid: int, kind: str) -> set[int]:
    """Return the ids of the BPF objects (``prog``, ``link``, ``map``) that a process has open."""
    ids = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                name, _, value = line.partition(":")
                if name == f"{kind}_id":
                    ids.add(int(value))
    return ids


class Bpftool:
    """The programs that the kernel has loaded and attached.

    Other agents may be running on this machine. The programs that use our maps are ours.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def _show(self, what: str) -> list[dict[str, Any]]:
        command = [self._path, "--json", what, "show"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        shown = json.loads(done.stdout)
        assert isinstance(shown, list), done.stdout + done.stderr
        # in place of what went away while it was listed, another agent's, there is an error
        return [one for one in shown if "id" in one]

    def programs(self, maps: set[int]) -> dict[int, str]:
        """Return the names, by id, of the programs that use any of these maps."""
        shown = self._show("prog")
        return {p["id"]: p["name"] for p in shown if maps & set(p.get("map_ids", ()))}

    def tags(self, programs: set[int]) -> dict[str, list[str]]:
        """Return the tags of programs by name: what they consist of, but for the fds of maps."""
        tags: dict[str, list[str]] = {}
        for shown in self._show("prog"):
            if shown["id"] in programs:
                tags.setdefault(shown["name"], []).append(shown["tag"])
        return {name: sorted(found) for name, found in tags.items()}

    def instructions(self, program: int) -> list[str]:
        """Return the instructions that the kernel has of a program, as text."""
        command = [self._path, "prog", "dump", "xlated", "id", str(program)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )

    def linked(self, programs: Sequence[int] | Mapping[int, str]) -> set[int]:
        """Return those of the given programs that are attached."""
        return {link["prog_id"] for link in self._show("link")} & set(programs)

    def gone(self, maps: set[int]) -> bool:
        """Return whether all programs that use these maps disappear, which may take a moment."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.programs(maps):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


class Launched(RealAgent):
    """An agent that a test may terminate in any way."""

    def __init__(self, agent: RunningAgent) -> None:
        super().__init__(agent)
        self._agent = agent
        self.process = agent.process
        self.supervisor = agent.pid
        self.pid = self.processes()["agent"]

    @property
    def log(self) -> str:
        return self._agent.log

    def processes(self) -> dict[str, int]:
        return {p["role"]: p["pid"] for p in self.status()["processes"]}

    def compilers(self) -> set[int]:
        """Return the compilers that are running, which is one at most.

        Not one that is being started, until it has executed its program: if it were stopped before,
        the supervisor would wait for that in vain.
        """
        own = command_of(self.supervisor)
        others = children(self.supervisor) - {self.pid}
        return {pid for pid in others if command_of(pid) not in ("", own)}

    def catch_compiler(self) -> int:
        """Stop the compiler (SIGSTOP) as soon as there is one, and return its pid.

        Before its exec, the supervisor would still wait for that, and for nothing else.
        """

        def caught() -> int | None:
            for pid in self.compilers():
                if "compiler.py" in command_of(pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        return pid
            return None

        return eventually(caught)

    def settle(self) -> None:
        """Wait until the agent's first compilation has finished, successfully or not."""
        eventually(lambda: self.status()["ebpf"]["available"] is not None)

    def exit_status(self) -> int:
        """Wait for the agent to exit and return its status. Raise TimeoutExpired."""
        return self.process.wait(PATIENCE_SECONDS)

    def kill_whatever_is_left(self) -> None:
        """Kill the remaining process of an agent, if one of the two outlived the other."""
        for pid in (self.supervisor, self.pid):
            if state_of(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def launched(
    log: Path,
    *arguments: str,
    before: Sequence[str] = (),
    invocation: Invocation | None = None,
) -> Iterator[Launched]:
    """Start an agent that logs to a file, with the command ``before`` as a prefix, if given."""
    started = invocation or own_module("agent")
    started = replace(started, command=(*before, *started.command))
    leftovers = ExitStack()
    with (
        leftovers,
        running_agent(
            arguments, invocation=started, log=log, timeout_s=PATIENCE_SECONDS
        ) as running,
    ):
        agent = Launched(running)
        leftovers.callback(agent.kill_whatever_is_left)
        yield agent


@contextlib.contextmanager
def service(
    log: Path,
    *arguments: str,
    before: Sequence[str] = (),
    invocation: Invocation | None = None,
    **options: Any,
) -> Iterator[Launched]:
    """Start an agent as a service manager would: in a session of its own, as nobody's child.

    Unlike `launched`, it gets every signal that is sent to it. ``options`` are those of Popen.
    """
    started = invocation or own_module("agent")
    with log.open("w+b") as output:
        process = subprocess.Popen(
            [*before, *started.command, "--port", "0", *arguments],
            env=dict(started.environment),
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": output,
                "stderr": subprocess.STDOUT,
                "start_new_session": True,
                **options,
            },
        )
        try:
            url = wait_for_url(process, output, PATIENCE_SECONDS)
            yield Launched(RunningAgent(process, url, output))
        finally:
            kill_session(process)


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a session that a test started, and reap its first process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def waits_for_signal(pid: int, number: int) -> bool:
    """Return whether a process is in sigtimedwait(2), which unblocks what it waits for."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    return bool(blocked >> (signal.SIGCHLD - 1) & 1) and not blocked >> (number - 1) & 1
