"""``chainbench-agent overhead``: measure what each section costs."""

import argparse
from pathlib import Path

from agent.cli.parser import Commands
from agent.cli.values import positive


def add(commands: Commands) -> None:
    overhead = commands.add_parser(
        "overhead",
        help="measure what each section costs a workload: overhead [-- COMMAND]",
        usage="%(prog)s [-h] [--rounds N] [--json FILE]\n       [-- COMMAND ...]",
        description="Measure what each section costs a workload on this machine.",
        epilog="After --: the command to measure, and its arguments (default: a ping-pong over"
        " pipes). A pipeline needs a shell: -- sh -c 'LINE'.",
    )
    overhead.add_argument(
        "--rounds",
        type=positive,
        default=10,
        metavar="N",
        help="pairs of runs per section (default: %(default)s)",
    )
    overhead.add_argument(
        "--json", type=Path, metavar="FILE", help="also save the result, with every pair, as JSON"
    )
    overhead.set_defaults(parser=overhead, run=_overhead, workload=[])


def _overhead(options: argparse.Namespace) -> int:
    from agent.overhead.command import run_overhead

    return run_overhead(options.workload or None, rounds=options.rounds, json_file=options.json)
