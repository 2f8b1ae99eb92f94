"""``run-cost``: what a command costs under ``run``."""

import argparse
import sys

from agent.client.spawn import running_agent
from agent.overhead.machine import read_machine
from agent.overhead.progress import ProgressLine
from agent.overhead.table import render_machine
from benchmarks.commands.options import Commands, add_choice
from benchmarks.run_cost import COMMANDS, QUICK_PART, measure_costs, render
from benchmarks.suite import versions


def add(commands: Commands) -> None:
    command = commands.add_parser("run-cost", help="measure what a command costs under run")
    add_choice(command, "COMMAND", [one.name for one in COMMANDS], "commands")
    command.add_argument(
        "--quick",
        dest="part",
        action="store_const",
        const=QUICK_PART,
        default=1.0,
        help="a minute instead of five",
    )
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    """Return 0 if all commands that were chosen could be measured."""
    machine = read_machine(versions())
    chosen = [one for one in COMMANDS if not options.only or one.name in options.only]
    with running_agent() as agent:
        costs = measure_costs(agent, chosen, options.part, ProgressLine(sys.stderr))
    print(f"{render_machine(machine)}\n\n{render(costs)}", end="")
    return 1 if costs.missing else 0
