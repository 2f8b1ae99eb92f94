"""``kept-runs``: whether keeping runs slows what is measured."""

import argparse
import sys

from agent.overhead.progress import ProgressLine
from agent.overhead.table import columns
from benchmarks.commands.options import Commands, positive, tell
from benchmarks.comparison import ENOUGH_ROUNDS, compare_slowdowns, comparison_table
from benchmarks.kept_runs import SECONDS, measure_kept_runs


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "kept-runs", help="measure whether --data-dir slows fio and pgbench (half an hour)"
    )
    command.add_argument("--seconds", type=positive, default=SECONDS, help="length of a run")
    command.add_argument("--rounds", type=positive, default=ENOUGH_ROUNDS, help="pairs")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    """Return 0 if keeping runs made no difference, or one within the noise."""
    results = measure_kept_runs(options.seconds, options.rounds, ProgressLine(sys.stderr), tell)
    compared = [found for workload in results for found in compare_slowdowns(workload)]
    print("\n".join(columns([*comparison_table(compared)])))
    return 0 if compared and all("no difference" in found.verdict for found in compared) else 1
