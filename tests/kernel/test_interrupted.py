"""Ctrl-C in a command: one line, and what has been measured by then."""

import pytest
from fakes.processes import command_of, descendants, name_of
from fakes.terminals import CTRL_C, Terminal, on_terminal
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.interpreter import own_module

INTERRUPTED = 130
"""Exit status as in shells, 128 + SIGINT."""


def commands(pid: int) -> str:
    """Return the command lines of a process's descendants."""
    return "".join(map(command_of, descendants(pid)))


def interrupt(terminal: Terminal) -> list[str]:
    """Type Ctrl-C and return the lines that appear after it."""
    before = len(terminal.shown())
    terminal.type(CTRL_C)
    assert terminal.process.wait(PATIENCE_SECONDS) == INTERRUPTED
    return terminal.shown()[before:].replace("^C", "").split("\n")


@pytest.mark.thorough(but="workload pipes")
@pytest.mark.parametrize("part", ["workload compute", "workload pipes"])
def test_demo(part: str) -> None:
    started = own_module("agent", "demo")
    with on_terminal(started.command, started.environment) as terminal:
        eventually(lambda: part in commands(terminal.process.pid))
        said = [line for line in interrupt(terminal) if line]
    assert said == ["chainbench-agent: interrupted"]


@pytest.mark.parametrize("processes", [1, 2])
def test_demo_while_its_agent_starts(processes: int) -> None:
    """By the second process it has two, of which the one that serves handles no signal yet."""
    started = own_module("agent", "demo")
    with on_terminal(started.command, started.environment) as terminal:
        eventually(lambda: len(descendants(terminal.process.pid)) >= processes)
        said = [line for line in interrupt(terminal) if line]
    assert said == ["chainbench-agent: interrupted"]


@pytest.mark.thorough
def test_overhead_shows_what_it_has_measured() -> None:
    """The command ends the first rounds at once, and a later one never."""
    started = own_module("agent", "overhead", "--rounds", "60", "--", "sleep", "0.02")
    with on_terminal(started.command, started.environment) as terminal:
        # of 8 configurations, each with a bare run; the first round is for warming up
        terminal.wait_for(": 40/")
        said = interrupt(terminal)
    assert "chainbench-agent overhead: interrupted; measured so far:" in said
    [title] = [line for line in said if line.startswith("command, ")]
    assert "noise floor" in title
    assert any(line.startswith("runqlat") for line in said)
    assert not any("Traceback" in line or "Error" in line for line in said)


@pytest.mark.thorough
def test_overhead_before_anything_is_measured() -> None:
    started = own_module("agent", "overhead", "--", "sleep", "600")
    with on_terminal(started.command, started.environment) as terminal:
        eventually(lambda: "sleep" in map(name_of, descendants(terminal.process.pid)))
        said = [line for line in interrupt(terminal) if line]
    assert said == ["chainbench-agent overhead: interrupted; nothing has been measured yet"]
