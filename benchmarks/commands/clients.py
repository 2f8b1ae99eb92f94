"""``clients``: how long requests take while many clients ask at once."""

import argparse

from agent.client.spawn import running_agent
from agent.overhead.machine import read_machine
from agent.overhead.table import render_machine
from benchmarks.clients import CLIENTS, SECONDS, measure, render
from benchmarks.commands.options import Commands, positive
from benchmarks.suite import versions


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "clients", help="measure requests while many clients send them at once, five minutes"
    )
    command.add_argument("--clients", type=positive, default=CLIENTS, metavar="N")
    command.add_argument("--seconds", type=positive, default=round(SECONDS), metavar="S")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    """Return 0 if each request was answered, none with a 5xx, and no event was lost."""
    machine = read_machine(versions())
    with running_agent() as agent:
        agent.post("/start")
        agent.post("/stop")
        [pid] = [p["pid"] for p in agent.get("/status")["processes"] if p["role"] == "agent"]
        load = measure(agent.url, pid, options.clients, options.seconds)
    print(f"{render_machine(machine)}\n\n{render(load)}", end="")
    answers = load.answers
    return 1 if answers.missing or answers.refused_by_the_server or answers.lost else 0
