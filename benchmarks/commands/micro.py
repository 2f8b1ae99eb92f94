"""``micro``: what folding, starting, stopping and memory cost."""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime

from agent.overhead.machine import read_machine
from agent.overhead.table import columns
from benchmarks import kept
from benchmarks.against import Checkout, checkout, measure_both
from benchmarks.commands.options import Commands, add_against, new_file, positive, tell
from benchmarks.commands.results import show_rows, sides
from benchmarks.comparison import ENOUGH_ROUNDS, compare_figures, comparison_table
from benchmarks.micro import measure_parts
from benchmarks.pages import PAGE, page
from benchmarks.suite import versions
from benchmarks.targets import part_rows


def add(commands: Commands) -> None:
    command = commands.add_parser("micro", help="measure fold, start, stop, memory and losses")
    command.add_argument(
        "--full", action="store_true", help=f"measure longer and update {PAGE.name}"
    )
    command.add_argument("--out", type=new_file, help="write JSON to this file")
    add_against(command)
    command.add_argument(
        "--rounds",
        type=positive,
        default=ENOUGH_ROUNDS,
        help="with --against: measurements per checkout (default: %(default)s)",
    )
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    if options.against:
        return _measure_against(options, checkout(options.against))
    machine, started = read_machine(versions()), datetime.now(UTC).isoformat(timespec="seconds")
    figures = measure_parts(options.full, tell)
    show_rows(part_rows(figures))
    parts = kept.Parts(machine, figures, started, checkout().commit)
    if options.out:
        options.out.write_text(json.dumps(parts.to_json(), indent=1) + "\n")
    if options.full:
        kept.keep(kept.PARTS, parts)
        PAGE.write_text(page())
    return 0


def _measure_against(options: argparse.Namespace, other: Checkout) -> int:
    this, machine = checkout(), read_machine(versions(other))
    new, old = measure_both(this, other, options.full, options.rounds, tell)
    print(sides(other))
    print("\n".join(columns(comparison_table(compare_figures(new, old)))))
    if options.out:
        both = {"machine": asdict(machine), "new": new, "old": old}
        options.out.write_text(json.dumps(both, indent=1) + "\n")
    return 0
