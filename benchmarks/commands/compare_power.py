"""``compare-power``: what comparisons decide, and how rightly."""

import argparse
import json
from dataclasses import asdict

from agent.client.spawn import running_agent
from agent.overhead.machine import read_machine
from benchmarks.commands.options import Commands, new_file, positive
from benchmarks.compare_power import COMPARISONS, is_met, measure_power, render
from benchmarks.suite import versions


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "compare-power", help="count what comparisons decide, and how rightly"
    )
    command.add_argument(
        "--comparisons",
        type=positive,
        default=COMPARISONS,
        help="of equal commands (default: %(default)s, which takes ten minutes)",
    )
    command.add_argument("--out", type=new_file, help="write JSON to this file")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    with running_agent() as agent:
        report = measure_power(agent, options.comparisons)
    if options.out:
        machine = asdict(read_machine(versions()))
        text = json.dumps({"machine": machine, "power": report.to_json()}, indent=1) + "\n"
        options.out.write_text(text)
    print(render(report), end="")
    return 0 if is_met(report) else 1
