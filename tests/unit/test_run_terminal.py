"""``chainbench-agent run``: what a terminal, a shell's job control and closed streams do to it."""

import os
import shlex
import signal
import termios
from pathlib import Path

import pytest
from fakes.run_agent import RunAgent, state
from fakes.run_command import PYTHON, environment, in_shell, line
from fakes.terminals import CTRL_Z, on_terminal
from fakes.waiting import eventually

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

FULL_SCREEN = """
import curses

def show(screen):
    screen.timeout(100)  # a change of size between a look and a read would wait for a key
    while screen.getch() != ord("q"):
        screen.clear()
        screen.addstr("%d rows, %d columns" % screen.getmaxyx())

curses.wrapper(show)
"""
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
"""The alternate screen of xterm."""


def modes_of_a_new_terminal() -> list[object]:
    master, slave = os.openpty()
    try:
        return termios.tcgetattr(master)
    finally:
        os.close(master)
        os.close(slave)


def test_a_program_has_the_whole_screen(agent: RunAgent) -> None:
    """Each key as it is typed, nothing echoed, and every change of the window's size."""
    pytest.importorskip("curses")
    command = line("run", "--agent", agent.url, "--", *PYTHON, FULL_SCREEN)
    with on_terminal(command, environment(TERM="xterm")) as terminal:
        terminal.wait_for("24 rows, 80 columns")
        assert terminal.modes() != modes_of_a_new_terminal()
        terminal.resize(30, 100)
        terminal.wait_for("30 rows, 100 columns")
        terminal.type(b"q")
        shown = terminal.to_the_end()
        assert terminal.modes() == modes_of_a_new_terminal()
    assert terminal.process.returncode == 0
    before, _, after = shown.partition(LEFT)
    assert ENTERED in before
    assert "Verdict: " in after
    assert "Verdict: " not in before


READS = """
import sys
print("ready", flush=True)
print("it was", sys.stdin.readline().upper(), end="")
sys.exit(6)
"""
SHELL = ("/bin/bash", "--norc", "--noprofile", "-i")


def stopped(agent: RunAgent) -> bool:
    command = agent.scopes[-1]["pid"]
    parent = Path(f"/proc/{command}/stat").read_text().rpartition(") ")[2].split()[1]
    return [state(int(parent)), state(command)] == ["T", "T"]


@pytest.mark.parametrize("how", ["Ctrl-Z", "in the background"])
def test_a_shell_stops_and_continues_it_with_the_command(agent: RunAgent, how: str) -> None:
    """With Ctrl-Z, or where it reads from the terminal in the background; then fg."""
    words = line("run", "--agent", agent.url, "--no-store", "--", *PYTHON, READS)
    variables = {"MEASURED": shlex.join(words), "PS1": "$ ", "HISTFILE": "", "TERM": "xterm"}
    with on_terminal(SHELL, environment(**variables)) as terminal:
        if how == "Ctrl-Z":
            terminal.type(b'eval "$MEASURED"\n')
            terminal.wait_for("ready\n")
            terminal.type(CTRL_Z)
        else:
            terminal.type(b'eval "$MEASURED &"\n')
            terminal.wait_for("ready\n")
        eventually(lambda: stopped(agent))
        assert "POST /stop" not in agent.routes
        terminal.type(b"\n")
        terminal.wait_for("Stopped")
        terminal.type(b"fg\n")
        eventually(lambda: not stopped(agent))
        terminal.type(b"typed\n")
        terminal.wait_for("Verdict: ")
        terminal.type(b"echo status=$?\nexit\n")
        shown = terminal.to_the_end()
    assert "it was TYPED\n" in shown
    assert "ended     with status 6" in shown
    assert "status=6\n" in shown


# --- streams that are closed or full


@pytest.mark.parametrize("streams", ["2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(exec true)"])
def test_repeated_runs_without_streams(agent: RunAgent, tmp_path: Path, streams: str) -> None:
    """The descriptors that a command waits on are none of the standard ones, which it loses."""
    file = tmp_path / "trace"
    script = f"sh -c 'echo run >> {file}; sleep 0.01'"
    done = in_shell(agent, f"measured --runs 3 -- {script} {streams}; echo $? > {tmp_path}/status")
    assert (tmp_path / "status").read_text() == "0\n", done.stderr
    assert file.read_text() == "run\n" * 3
    assert agent.routes[-1] == "POST /stop"


def test_a_killed_command_ends_repeated_runs_also_where_nothing_can_be_said(
    agent: RunAgent, tmp_path: Path
) -> None:
    script = "measured --runs 3 -- sh -c 'kill -9 $$' <&- >&- 2>&-"
    in_shell(agent, f"{script}; echo $? > {tmp_path}/status")
    assert (tmp_path / "status").read_text() == f"{128 + signal.SIGKILL}\n"
