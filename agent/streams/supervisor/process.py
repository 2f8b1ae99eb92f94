"""The supervisor's process: it serves the agent, passes signals on to it, and reports its end.

It is the agent's parent. A signal that ends the agent may reach either of them, and the exit status
of both is this process's.
"""

import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import Collection, Sequence

from agent.exit_status import KILLED_BY, UNASKED, signal_name
from agent.streams.shared import control_groups, limits, privileges
from agent.streams.shared.channel import Malformed
from agent.streams.supervisor.supervisor import Supervisor, complain

PATIENCE_S = 4.5
"""Time for the agent to end after a signal: it needs 3.5 s at most (`agent.processes.serving`), and
all its processes are to be gone after 5 s."""


def run(
    agent: socket.socket,
    agent_pid: int,
    ending: Collection[int],
    mask: Collection[int],
    compile_deadline_s: float,
    certificate_files: Sequence[str] = (),
) -> int:
    """Run as the supervisor of the agent ``agent_pid`` and return the exit status.

    ``ending``: the signals that end the agent, blocked until they can be handled; ``mask``: those
    that stay blocked; ``compile_deadline_s``: how long the probes may take to compile;
    ``certificate_files``: what a hangup has the agent read again.
    """
    privileges.name_process("cba-supervisor")
    privileges.hide_from_same_user()
    supervisor = Supervisor(
        agent, compile_deadline_s=compile_deadline_s, certificate_files=certificate_files
    )
    kills = control_groups.oom_kills()
    with agent:
        _pass_on(ending, agent, agent_pid)
        if certificate_files and signal.SIGHUP not in ending:
            _pass_on_hangups(agent_pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # what was imported since the fork: garbage is collected after each run
        gc.collect()
        gc.freeze()
        try:
            supervisor.serve()
        except Malformed as error:
            complain(f"chainbench-agent: the supervisor stops serving: {error}\n")
    _, status, used = os.wait4(agent_pid, 0)
    # Nobody is left to pass them on to, and the interpreter's own exit would make them deadly.
    # Blocked as well, since one that arrives between two of these calls is still passed on.
    passed_on = _passed_on(ending)
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    for number in passed_on:
        signal.signal(number, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    if -code in set(ending) - UNASKED and supervisor.run_id is None:
        return 0  # as asked, before it could handle them: there was nothing to lose yet
    seconds = used.ru_utime + used.ru_stime
    complain(_killed(-code, supervisor.run_id, control_groups.oom_kills() > kills, seconds))
    return KILLED_BY - code


def _killed(number: int, run_id: str | None, out_of_memory: bool, seconds: float) -> str:
    """Return what the death of the agent by a signal means to whoever reads the log.

    ``seconds``: of CPU time that it had used. At the hard limit, the kernel sends SIGKILL; it may
    count by ticks, so both numbers are told, and no cause.
    """
    name, advice = signal_name(number), ""
    if number == signal.SIGKILL and (most := _most_cpu_time()) >= 0:
        advice = f". It had used {seconds:.2f} s of {most} s of CPU time (ulimit -t, LimitCPU=)"
    if number == signal.SIGKILL and out_of_memory:
        name, advice = f"{name}, by the kernel's OOM killer", f". {limits.memory()}"
    lost = "evidence that was not fetched" if run_id is None else f"the evidence of run {run_id}"
    return f"chainbench-agent: the serving process was killed by {name}; {lost} is lost{advice}\n"


def _most_cpu_time() -> int:
    """Return the hard limit on CPU time in seconds; -1 if there is none (setrlimit(2))."""
    return resource.getrlimit(resource.RLIMIT_CPU)[1]


def _passed_on(ending: Collection[int]) -> set[int]:
    """Return what may have a handler here: a hangup that ends nothing is passed on as well."""
    return {*ending, signal.SIGHUP}


def _pass_on_hangups(agent_pid: int) -> None:
    """Have a hangup reach the agent: a service manager sends it to a service's first process."""

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(OSError):  # it has ended, or may not be signalled (no CAP_KILL)
            os.kill(agent_pid, signal.SIGHUP)

    signal.signal(signal.SIGHUP, forward)


def _pass_on(ending: Collection[int], agent: socket.socket, agent_pid: int) -> None:
    """Have each of these signals end the agent, which closes the channel, which ends us.

    An agent that does not end, because it was stopped or is stuck, is killed.
    """
    passed_on = _passed_on(ending) - {signal.SIGALRM}

    def kill(number: int, frame: object) -> None:
        with contextlib.suppress(OSError):
            os.kill(agent_pid, signal.SIGKILL)
        complain(f"chainbench-agent: the serving process did not end within {PATIENCE_S:g} s\n")

    def forward(number: int, frame: object) -> None:
        # One is enough. Each further one would interrupt this call and nest another one in it, and
        # where they do not end, until Python allows no deeper one.
        signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
        signal.signal(signal.SIGALRM, kill)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
        try:
            os.kill(agent_pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        except PermissionError:  # root without CAP_KILL: end of file ends the agent as well
            with contextlib.suppress(OSError):  # closed already
                agent.shutdown(socket.SHUT_RDWR)

    for number in ending:
        signal.signal(number, forward)
