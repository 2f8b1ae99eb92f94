"""``chainbench-agent run -- COMMAND``: run a command with evidence around it."""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from agent.client.shell_words import hint, savable
from agent.exit_status import KILLED_BY, OWN_FAILURE, signal_name
from agent.fleet import together
from agent.run import processes, signals
from agent.run.around import Around
from agent.run.held import CannotRun, Ended, find, held
from agent.run.keeping import keep
from agent.run.options import Options
from agent.run.telling import Teller
from agent.terminal.output import OutputFailed
from agent.words import Json


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
        ended, document = _measured(arguments, options, teller)
    except CannotRun as error:
        teller.say(f"{error}{hint(arguments)}")
        return error.status
    except signals.Interrupted as error:
        teller.say(f"interrupted before the command was run{error.open_run}")
        return die_of(error.number)
    with contextlib.suppress(OutputFailed):  # it could not be reported anywhere
        teller.report(document, sys.stderr)
    keep(document, options, teller)
    teller.draw(document)
    return ended.status if ended.status >= 0 else die_of(-ended.status)


def _measured(arguments: Sequence[str], options: Options, teller: Teller) -> tuple[Ended, Json]:
    """Return how the command ended, and the evidence with it.

    Raises `CannotRun`, or `Interrupted` before the command was run.
    """
    path = find(arguments[0])
    around = Around(options, teller.busy, teller.missing, teller.slow)
    with signals.interrupting(), ExitStack() as after_all, ExitStack() as stack:
        processes.adopt_orphans()
        around.find_agent(stack, teller.closed)
        command = stack.enter_context(held(path, arguments, user=options.user))
        run, why_not = around.start(stack, command)
        if why_not:
            teller.no_evidence(why_not)
        # from here on they are the command's, also until our own agent has ended
        after_all.enter_context(signals.dropped())
        ended = command.run(lambda: around.reap(command.pid))
        left = around.left_behind()
        evidence = together(around.evidence_of(run, why_not, command))
        return ended, {**evidence, "command": described(arguments, ended, left)}


def described(arguments: Sequence[str], ended: Ended, left: Sequence[processes.Process]) -> Json:
    """Return what a command took, as it stands in the saved evidence."""
    killed = ended.status < 0
    return {
        "arguments": savable(arguments),
        "exit_status": None if killed else ended.status,
        "signal": signal_name(-ended.status) if killed else None,
        "wall_ms": round(ended.wall_s * 1e3, 3),
        "user_ms": round(ended.user_s * 1e3, 3),
        "system_ms": round(ended.system_s * 1e3, 3),
        "max_resident_bytes": ended.max_resident,
        "resident_floor_bytes": ended.resident_floor,
        "minor_faults": ended.minor_faults,
        "major_faults": ended.major_faults,
        "voluntary_switches": ended.voluntary_switches,
        "involuntary_switches": ended.involuntary_switches,
        "read_bytes": ended.read_bytes,
        "written_bytes": ended.written_bytes,
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
