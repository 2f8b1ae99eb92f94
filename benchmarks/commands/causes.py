"""``causes``: how often the right cause is named."""

import argparse
import json
import sys
from dataclasses import asdict

from agent.client.spawn import running_agent
from agent.overhead.machine import Machine, read_machine
from agent.overhead.progress import ProgressLine
from agent.overhead.protocols import Missing
from benchmarks.against import checkout
from benchmarks.cause_pairs import PAIRS
from benchmarks.causes import COMPARISONS, QUICK_COMPARISONS, Rates, Row, measure_causes
from benchmarks.causes_page import render
from benchmarks.commands.options import Commands, add_choice, new_file, positive, tell
from benchmarks.pages import CAUSES, CAUSES_PAGE, causes_page, read
from benchmarks.suite import versions

PAIR_NAMES = [pair.name for pair in PAIRS]


def add(commands: Commands) -> None:
    command = commands.add_parser("causes", help="count how often the right cause is named")
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--comparisons",
        type=positive,
        default=COMPARISONS,
        help=f"of each pair of programs (default: {COMPARISONS}, which takes 25 minutes in all; "
        f"with fewer, {CAUSES_PAGE.name} stays as it is)",
    )
    length.add_argument(
        "--quick",
        dest="comparisons",
        action="store_const",
        const=QUICK_COMPARISONS,
        help=f"{QUICK_COMPARISONS} comparisons of each",
    )
    add_choice(command, "PAIR", PAIR_NAMES, "go on with these pairs of programs")
    command.add_argument("--out", type=new_file, help="write the comparisons to this file")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    """Return 0 if no wrong cause was named, and each right one often enough.

    After each pair of programs all is written, so that what is interrupted can be gone on with.
    """
    machine, commit = read_machine(versions()), checkout().commit
    chosen = [pair for pair in PAIRS if not options.only or pair.name in options.only]
    is_kept = options.comparisons >= COMPARISONS
    whole, made = _kept_causes(machine) if is_kept else Rates(), Rates()

    def keep(found: Row | tuple[str, Missing]) -> None:
        nonlocal whole, made
        whole, made = (
            rates.with_row(found) if isinstance(found, Row) else rates.without(*found)
            for rates in (whole, made)
        )
        if is_kept:
            CAUSES.write_text(_causes_text(machine, whole))
            CAUSES_PAGE.write_text(causes_page())
        if options.out:
            options.out.write_text(_causes_text(machine, made))

    with running_agent() as agent:
        measure_causes(
            agent, chosen, options.comparisons, commit, ProgressLine(sys.stderr), tell, keep
        )
    print(render(made), end="")
    return 0 if made.rows and all(row.is_met and not row.wrong for row in made.rows) else 1


def _causes_text(machine: Machine, rates: Rates) -> str:
    return json.dumps({"machine": asdict(machine), "rates": rates.to_json()}, indent=1) + "\n"


def _kept_causes(machine: Machine) -> Rates:
    """Return the comparisons of earlier runs on this machine."""
    data = read(CAUSES)
    if not data or Machine.from_json(data["machine"]) != machine:
        return Rates()
    return Rates.from_json(data["rates"])
