"""``targets``: the targets that must hold."""

import argparse
import sys

from agent.overhead.progress import ProgressLine
from benchmarks import kept
from benchmarks.commands.options import Commands, new_file, positive, tell
from benchmarks.commands.results import show, write
from benchmarks.pages import PAGE, page
from benchmarks.suite import measure_targets
from benchmarks.targets import ENOUGH_PAIRS, PASS, held_rows


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "targets",
        help=f"measure the targets that must hold (a quarter of an hour); update {PAGE.name}",
    )
    command.add_argument(
        "--rounds",
        type=positive,
        default=ENOUGH_PAIRS,
        help=f"pairs (default: %(default)s; with fewer, {PAGE.name} stays as it is)",
    )
    command.add_argument("--out", type=new_file, help="write JSON to this file")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    """Return 0 if all targets are met."""
    result = measure_targets(options.rounds, ProgressLine(sys.stderr), tell)
    if options.out:
        write(result, options.out)
    show(result)
    rows = held_rows(result)
    if options.rounds >= ENOUGH_PAIRS and result.workloads:
        kept.keep(kept.TARGETS, result)
        PAGE.write_text(page())
    return 0 if all(row.verdict == PASS for row in rows) else 1
