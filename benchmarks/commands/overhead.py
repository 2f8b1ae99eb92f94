"""``overhead``: what each configuration of probes costs."""

import argparse
import sys

from agent.overhead.progress import ProgressLine
from benchmarks import kept
from benchmarks.against import checkout
from benchmarks.commands.options import Commands, add_against, new_file, positive, tell
from benchmarks.commands.results import draw_all, show, show_comparison, write
from benchmarks.pages import PAGE, page
from benchmarks.suite import FULL_ROUNDS, QUICK_ROUNDS, Selection, known_names, measure_all


def add(commands: Commands) -> None:
    command = commands.add_parser("overhead", help="measure the overhead of each configuration")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="two minutes (the default)")
    length.add_argument(
        "--full", action="store_true", help=f"measure everything and write {PAGE.name}"
    )
    command.add_argument(
        "--rounds",
        type=positive,
        help="pairs per configuration (three times as many for fio and pgbench)",
    )
    command.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="workloads or configurations"
    )
    command.add_argument(
        "--out", type=new_file, help="write JSON to this file, and SVGs next to it"
    )
    add_against(command)
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    against = checkout(options.against) if options.against else None
    if refusal := known_names(against).refuse(options.only, options.full):
        print(refusal, file=sys.stderr)
        return 2
    rounds = options.rounds or (FULL_ROUNDS if options.full else QUICK_ROUNDS)
    selection = Selection(options.full, rounds, frozenset(options.only), against)
    result = measure_all(selection, ProgressLine(sys.stderr), tell)
    if options.out:
        write(result, options.out)
    if against:
        return show_comparison(result, against)
    show(result)
    if options.full and not options.only:
        draw_all(result, kept.keep(kept.FULL, result))
        PAGE.write_text(page())
    return 0 if result.workloads else 1
