"""Who may do what: an agent started with each set of rights, in each place, is asked.

Nothing here is known beforehand: every cell is what an agent of this checkout answered.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from agent.client.http_client import AgentClient
from agent.client.interpreter import own_module
from agent.client.spawn import AgentDidNotStart, RunningAgent, running_agent
from agent.words import Json

SOMEBODY = 64_321
"""The uid of an ordinary user, which no account has."""
PATIENCE_S = 60.0
LIFE_S = 600
"""For how long a process lives that agents are asked about."""
DEFAULT_OF_CONTAINERS = (
    *("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("net_bind_service", "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap"),
)
"""What Docker and Podman leave to root in a container (docs.docker.com/engine/security)."""


class Rights(NamedTuple):
    """A set of rights: its name, and the arguments of setpriv(1) that give it."""

    name: str
    options: tuple[str, ...] = ()


class Place(NamedTuple):
    """Where an agent runs: its name, and the command that takes others there."""

    name: str
    command: tuple[str, ...] = ()


def _user(*capabilities: str) -> tuple[str, ...]:
    listed = ",".join(f"+{name}" for name in capabilities)
    given = (f"--inh-caps={listed}", f"--ambient-caps={listed}") if listed else ()
    return (f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", *given)


RIGHTS = (
    Rights("root"),
    Rights(
        "root with a container's default capabilities",
        ("--bounding-set=-all," + ",".join(f"+{name}" for name in DEFAULT_OF_CONTAINERS),),
    ),
    Rights("a user with CAP_BPF and CAP_PERFMON", _user("bpf", "perfmon")),
    Rights("a user with both and CAP_SYSLOG", _user("bpf", "perfmon", "syslog")),
    Rights("a user with CAP_SYS_ADMIN", _user("sys_admin")),
    Rights("a user with CAP_PERFMON", _user("perfmon")),
    Rights("a user with CAP_BPF", _user("bpf")),
    Rights("a user without capabilities", _user()),
)
NAMESPACES = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--uts")
PLACES = (
    Place("the host"),
    Place("a container", (*NAMESPACES, "--ipc", "--cgroup")),
)
ROOTLESS = {
    Place(
        "a rootless container", (*NAMESPACES, "--user", "--map-current-user", "--keep-caps")
    ): Rights("a user with all capabilities of the namespace", _user()),
    Place(
        "a rootless container without other users", (*NAMESPACES, "--user", "--map-root-user")
    ): Rights("its root (`unshare -Ur`)", _user()),
}
"""In these a user has capabilities, but of the user namespace only."""


@dataclass(frozen=True)
class Row:
    """What an agent with these rights, in this place, could do. None: it did not come to that."""

    place: str
    rights: str
    answer: str
    """``measured``, or the code of the reason why not; of one that did not start, what it said."""
    started: bool = True
    wait_functions: bool | None = None
    program_times: bool | None = None
    own_io: bool | None = None
    """Whether ``procfs`` says what a process of the same user reads and writes."""
    roots_io: bool | None = None
    """Likewise of a process of root's."""


def rows() -> Iterator[Row]:
    """Yield a row for each place and set of rights. Needs root."""
    for place in PLACES:
        for rights in RIGHTS:
            yield _row(place, rights)
    for place, rights in ROOTLESS.items():
        yield _row(place, rights)


def _row(place: Place, rights: Rights) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        pid_file = Path(folder, "pid")
        try:
            with _agent(place, rights, pid_file) as agent:
                return _asked(agent, place, rights, int(pid_file.read_text()))
        except AgentDidNotStart as error:
            return Row(place.name, rights.name, f"does not start: {error}", started=False)


@contextlib.contextmanager
def _agent(place: Place, rights: Rights, pid_file: Path) -> Iterator[RunningAgent]:
    """Start an agent, and a process of the same user, in that place and with these rights."""
    started = own_module("agent")
    # as a benchmark, which has none of the agent's capabilities: a user's own processes with more
    # rights than the agent's serving process are hidden from it
    bare = "setpriv --inh-caps=-all --ambient-caps=-all " if _is_user(rights) else ""
    beside = f'{bare}sleep {LIFE_S} & echo $! > {pid_file}; "$@"'
    before = ("sh", "-c", beside, "sh", *started.command)
    # the user first: who makes a user namespace may not change it any more
    into = ("setpriv", *rights.options, *place.command) if place in ROOTLESS else ()
    command = into or (*place.command, *(("setpriv", *rights.options) if rights.options else ()))
    with running_agent(
        invocation=replace(started, command=(*command, *before)), timeout_s=PATIENCE_S
    ) as agent:
        try:
            yield agent
        finally:
            if place.command:
                agent.process.kill()  # unshare holds back other signals; its namespaces end with it
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def _is_user(rights: Rights) -> bool:
    return f"--reuid={SOMEBODY}" in rights.options


def _asked(agent: AgentClient, place: Place, rights: Rights, beside: int) -> Row:
    evidence = _run(agent, scope={"pid": beside}, details=["wait_functions"], measure_probes=True)
    row = Row(place.name, rights.name, "measured" if evidence["available"] else evidence["code"])
    if evidence["available"]:
        programs = evidence["overhead"]["programs"]
        return replace(
            row,
            wait_functions="wait_functions" not in evidence.get("unavailable", {}),
            program_times=any(program["run_ns"] is not None for program in programs),
        )
    return replace(row, own_io=_has_io(agent, beside), roots_io=_of_root(agent, place))


def _of_root(agent: AgentClient, place: Place) -> bool | None:
    """Ask about a process of root's; only on the host has it a number for the agent."""
    if place.command:
        return None
    with subprocess.Popen(["sleep", str(LIFE_S)]) as process:
        try:
            return _has_io(agent, process.pid)
        finally:
            process.kill()


def _has_io(agent: AgentClient, pid: int) -> bool:
    tasks = _run(agent, scope={"pid": pid})["procfs"]["tasks"]
    return "read_chars" in tasks


def _run(agent: AgentClient, **body: object) -> Json:
    while agent.get("/status")["ebpf"]["available"] is None:
        time.sleep(0.1)
    agent.post("/start", body)
    subprocess.run(["true"], check=True)
    return agent.post("/stop")


# --- as text

BEGIN, END = "<!-- measured: rights -->", "<!-- end of what was measured -->"
HEADINGS = (
    "where",
    "the agent is started as",
    "a start answers",
    "`wait_functions`",
    "`measure_probes`",
    "`procfs`: I/O of the agent's user",
    "of root",
)


def table(measured: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [HEADINGS, ("---",) * len(HEADINGS)]
    lines += [
        (
            *(row.place, row.rights, _answer(row.answer)),
            *map(_yes, (row.wait_functions, row.program_times, row.own_io, row.roots_io)),
        )
        for row in measured
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _answer(answer: str) -> str:
    return answer if answer == "measured" or " " in answer else f"`{answer}`"


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "–"}[value]


def written(page: str, measured: Sequence[Row]) -> str:
    """Return a page with its table replaced, and when and where it was measured."""
    where = f"Linux {os.uname().release}, Python {sys.version.split()[0]}"
    when = time.strftime("%Y-%m-%d", time.gmtime())
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    return f"{page[:begin]}\nMeasured on {when}: {where}.\n\n{table(measured)}{page[end:]}"
