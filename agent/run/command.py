"""``chainbench-agent run -- COMMAND``: run a command with evidence around it."""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from agent.client.http_client import AgentClient
from agent.client.shell_words import hint
from agent.client.spawn import RunningAgent
from agent.exit_status import KILLED_BY, signal_name
from agent.model import Json
from agent.run import processes, signals
from agent.run.agents import NoAgent, an_agent
from agent.run.held import CannotRun, Ended, HeldCommand, find, held
from agent.run.measurement import Measurement, NotMeasured, check_process, measurement
from agent.run.options import Options
from agent.run.telling import Teller
from agent.terminal.output import OutputFailed

OWN_FAILURE = 125
"""Exit status of a failure before the command was run, as in env(1), nohup(1) and timeout(1)."""


def run_command(arguments: Sequence[str], options: Options) -> int:
    """Run the command, print what it took and what the agent saw, and return its exit status.

    Where nothing can be measured, the command runs all the same. If a signal killed the command,
    this process dies of the same one: its own parent, a shell for example, then sees what it would
    see without it. What happens to the report does not change the status.
    """
    teller = Teller("run", options)
    if teller.refuses_files():
        return OWN_FAILURE
    try:
        ended, document = _Session(arguments, options, teller).run()
    except CannotRun as error:
        teller.say(f"{error}{hint(arguments)}")
        return error.status
    except signals.Interrupted as error:
        teller.say("interrupted before the command was run")
        return die_of(error.number)
    with contextlib.suppress(OutputFailed):  # it could not be reported anywhere
        teller.report(document, sys.stderr)
    return ended.status if ended.status >= 0 else die_of(-ended.status)


class _Session:
    """One command, and the run about it if there can be one."""

    def __init__(self, arguments: Sequence[str], options: Options, teller: Teller) -> None:
        self._arguments = arguments
        self._options = options
        self._teller = teller
        self._agent: AgentClient | None = None

    def run(self) -> tuple[Ended, Json]:
        """Return how the command ended, and the evidence with it.

        Raises `CannotRun`, or `Interrupted` before the command was run.
        """
        path = find(self._arguments[0])
        with signals.interrupting(), ExitStack() as after_all, ExitStack() as stack:
            processes.adopt_orphans()
            why_not = self._find_agent(stack)
            command = stack.enter_context(held(path, self._arguments))
            run, why_not = self._start(stack, command, why_not)
            if why_not:
                self._teller.no_evidence(why_not)
            # from here on they are the command's, also until our own agent has ended
            after_all.enter_context(signals.dropped())
            ended = command.run(lambda: self._reap(command.pid))
            left = processes.left_behind(self._agents_group())
            evidence = self._evidence(run, why_not)
            return ended, {**evidence, "command": described(self._arguments, ended, left)}

    def _find_agent(self, stack: ExitStack) -> str:
        """Find an agent; return why there is none, or an empty string."""
        try:
            self._agent = stack.enter_context(an_agent(self._options.agent))
        except NoAgent as error:
            return str(error)
        return ""

    def _start(
        self, stack: ExitStack, command: HeldCommand, why_not: str
    ) -> tuple[Measurement | None, str]:
        """Return the run about the command, or why nothing is measured."""
        if self._agent is None:
            return None, why_not
        run = stack.enter_context(measurement(self._agent))
        body = {**self._options.start, "scope": {"pid": command.pid}}
        try:
            started = run.start(body, self._options.patience_s, self._teller.busy)
            check_process(started, command.pid, command.forked_at)
        except NotMeasured as error:
            run.close()
            return None, str(error)
        return run, "" if started.get("available") else str(started.get("reason", ""))

    def _evidence(self, run: Measurement | None, why_not: str) -> Json:
        if run is not None:
            try:
                return run.stop()
            except NotMeasured as error:
                why_not = str(error)
        return {"available": False, "reason": why_not}

    def _reap(self, command: int) -> None:
        own = [command]
        if isinstance(self._agent, RunningAgent):
            self._agent.process.poll()
            own.append(self._agent.pid)  # it may end only now
        processes.reap_orphans(own)

    def _agents_group(self) -> int | None:
        """Return the process group of an agent of our own, which it leads."""
        return self._agent.pid if isinstance(self._agent, RunningAgent) else None


def described(arguments: Sequence[str], ended: Ended, left: Sequence[processes.Process]) -> Json:
    """Return what a command took, as it stands in the saved evidence."""
    killed = ended.status < 0
    return {
        "arguments": [os.fsencode(word).decode(errors="backslashreplace") for word in arguments],
        "exit_status": None if killed else ended.status,
        "signal": signal_name(-ended.status) if killed else None,
        "wall_ms": round(ended.wall_s * 1e3, 3),
        "user_ms": round(ended.user_s * 1e3, 3),
        "system_ms": round(ended.system_s * 1e3, 3),
        "max_resident_bytes": ended.max_resident,
        "resident_floor_bytes": ended.resident_floor,
        "left_behind": [{"pid": process.pid, "command": process.command} for process in left],
    }


def die_of(number: int) -> int:
    """End this process by a signal, without a core of its own. As process 1, return 128 + number.

    The kernel gives process 1 of a pid namespace no signal that it does not handle.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return KILLED_BY + number
