"""``chainbench-agent run``: signals and the terminal, which are the command's."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agent_server import FakeAgent, Request
from fakes.processes import children
from fakes.run_agent import RunAgent, state
from fakes.run_command import PYTHON, environment, line, ready, run
from fakes.terminals import CTRL_C, on_terminal
from fakes.waiting import eventually

from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


READS = (
    "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty(), input('? '))"
)


def test_the_terminal_is_the_commands(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", *PYTHON, READS)
    with on_terminal(command, environment(TERM="xterm")) as terminal:
        terminal.wait_for("? ")
        terminal.type(b"typed\n")
        shown = terminal.to_the_end()
    assert "True True True typed" in shown
    assert "\x1b[" in shown, "color, on a terminal"
    assert max(map(cells, shown.splitlines())) <= 80
    assert terminal.process.returncode == 0


def test_ctrl_c_goes_to_the_command_and_prints_what_there_is(agent: RunAgent) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    command = line("run", "--agent", agent.url, "--", "sh", "-c", script)
    with on_terminal(command, environment()) as terminal:
        terminal.wait_for("ready")
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert shown.count("caught\n") == 1
    assert "with status 5" in shown
    assert "12,655 waits for a CPU" in shown
    assert terminal.process.returncode == 5


def executes(pid: int, program: str) -> bool:
    """Return whether a process has become a program; until then it has the name only."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0] == program.encode()


def test_ctrl_c_that_kills_the_command_ends_us_in_the_same_way(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", "sleep", "600")
    with on_terminal(command, environment()) as terminal:
        eventually(lambda: agent.scopes and executes(agent.scopes[0]["pid"], "sleep"))
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert "killed by SIGINT" in shown
    assert "Verdict: " in shown
    assert terminal.process.returncode == -signal.SIGINT


COUNTS = """
import os, signal, sys, time
got = []
def take(number, frame):
    got.append(signal.Signals(number).name)
    if sys.argv[1] == 'group' and len(got) < 50:
        os.killpg(0, number)  # reaches our parent too
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, take)
print('ready', flush=True)
until = time.monotonic() + 60
while not got and time.monotonic() < until:
    time.sleep(0.01)
time.sleep(0.3)
print(got[:3] if sys.argv[1] == 'group' else got, flush=True)
"""


@contextlib.contextmanager
def counting(fake: FakeAgent, how: str) -> Iterator["subprocess.Popen[str]"]:
    command = line("run", "--quiet", "--agent", fake.url, "--", *PYTHON, COUNTS, how)
    with ready(command, start_new_session=True) as process:
        yield process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
def test_a_signal_to_us_is_passed_on_once(agent: RunAgent, name: str) -> None:
    with counting(agent, "once") as process:
        process.send_signal(getattr(signal, name))
        said, _ = process.communicate()
    assert said == f"['{name}']\n"
    assert process.returncode == 0


def test_a_command_that_signals_its_group_is_not_answered(agent: RunAgent) -> None:
    """It would get its own signal back, answer it in the same way, and so on."""
    signals = []
    agent.on_start = lambda pid: signals.append(pid)
    with counting(agent, "group") as process:
        os.kill(signals[0], signal.SIGUSR1)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert said.startswith("['SIGUSR1'")


def test_it_is_stopped_and_continued_with_the_command(agent: RunAgent) -> None:
    """As by Ctrl-Z and fg. SIGSTOP, because the kernel ignores SIGTSTP for an orphaned group."""
    # not a shell: in the middle of its vfork it could not stop
    script = (
        "import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT});"
        "print('ready', flush=True); signal.sigwait({signal.SIGCONT}); sys.exit(6)"
    )
    command = line("run", "--agent", agent.url, "--", *PYTHON, script)
    with ready(command, start_new_session=True) as process:
        both = (process.pid, agent.scopes[0]["pid"])
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: [state(pid) for pid in both] == ["T", "T"])
        finally:
            os.killpg(process.pid, signal.SIGCONT)
        _, said = process.communicate()
    assert process.returncode == 6
    assert "with status 6" in said


def test_a_signal_while_the_run_is_stopped_does_not_cost_the_evidence(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", "sh", "-c", "exit 3")

    def signal_at_stop(request: Request) -> None:
        if request.route == "POST /stop":
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)

    agent.on_request = signal_at_stop
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Verdict: " in said
    assert process.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_the_command_runs(agent: RunAgent, tmp_path: Path, number: int) -> None:
    agent.busy = 10**6
    command = line("run", "--agent", agent.url, "--", "touch", str(tmp_path / "trace"))
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting for the end of another run" in process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read()
    assert said == "chainbench-agent run: interrupted before the command was run\n"
    assert process.returncode == -number
    assert "POST /stop" not in agent.routes
    assert list(tmp_path.iterdir()) == []


def test_killed_while_it_holds_the_command_it_leaves_nothing(agent: RunAgent) -> None:
    held: list[int] = []

    def kill_parent(pid: int) -> None:
        held.extend({pid} | children(process.pid))
        os.kill(process.pid, signal.SIGKILL)

    agent.on_start = kill_parent
    command = line("run", "--agent", agent.url, "--", "sleep", "600")
    with subprocess.Popen(command, env=environment()) as process:
        process.wait()
    eventually(lambda: not any(map(state, held)))


def test_a_command_that_is_killed_while_it_is_held_is_reported_as_killed(agent: RunAgent) -> None:
    agent.on_start = lambda pid: os.kill(pid, signal.SIGKILL)
    done = run(agent, ["true"])
    assert done.returncode == -signal.SIGKILL
    assert "ended     killed by SIGKILL\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.thorough
def test_killed_while_the_command_runs_it_takes_the_command_with_it(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", "sleep", "600")
    with subprocess.Popen(command, env=environment()) as process:
        eventually(lambda: agent.scopes)
        pid = agent.scopes[0]["pid"]
        eventually(lambda: b"600" in Path(f"/proc/{pid}/cmdline").read_bytes())
        started = {pid} | children(process.pid)
        process.kill()
    eventually(lambda: not any(map(state, started)))
