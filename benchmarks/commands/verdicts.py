"""``verdicts``: how often a verdict is wrong under ordinary loads."""

import argparse
import json
from dataclasses import asdict

from agent.client.spawn import running_agent
from agent.overhead.machine import read_machine
from benchmarks.commands.options import Commands, add_choice, new_file, positive, tell
from benchmarks.pages import RATES, RATES_PAGE, rates_page
from benchmarks.suite import versions
from benchmarks.verdict_loads import LOADS
from benchmarks.verdicts import FULL_RUNS, QUICK_RUNS, measure_rates
from benchmarks.verdicts_page import render

LOAD_NAMES = [load.name for load in LOADS]


def add(commands: Commands) -> None:
    command = commands.add_parser("verdicts", help="count false alarms under ordinary loads")
    command.add_argument(
        "--full",
        action="store_true",
        help=f"{FULL_RUNS} runs (half an hour); write {RATES_PAGE.name}",
    )
    command.add_argument(
        "--runs", type=positive, help=f"total number of runs (default: {QUICK_RUNS})"
    )
    add_choice(command, "LOAD", LOAD_NAMES, "loads")
    command.add_argument("--out", type=new_file, help="write JSON to this file")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    runs = options.runs or (FULL_RUNS if options.full else QUICK_RUNS)
    machine = read_machine(versions())
    with running_agent() as agent:
        rates = measure_rates(agent, runs, options.only, tell)
    print(render(rates), end="")
    text = json.dumps({"machine": asdict(machine), "rates": rates.to_json()}, indent=1) + "\n"
    if options.out:
        options.out.write_text(text)
    if options.full and not options.only:
        RATES.write_text(text)
        RATES_PAGE.write_text(rates_page())
    return 0 if rates.rows else 1
