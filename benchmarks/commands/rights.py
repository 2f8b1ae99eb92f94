"""``rights``: who may do what, asked of an agent with each set of rights."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.commands.options import Commands
from benchmarks.rights import rows, table, written

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rights.md"


def add(commands: Commands) -> None:
    command = commands.add_parser("rights", help="ask agents with each set of rights what they may")
    command.add_argument("--full", action="store_true", help="write docs/reference/rights.md")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    if os.getuid() != 0:
        print("rights: only root can give each set of rights to an agent", file=sys.stderr)
        return 2
    measured = []
    for row in rows():
        print(f"{row.place}, {row.rights}: {row.answer}", file=sys.stderr)
        measured.append(row)
    print(table(measured), end="")
    if not all(row.started for row in measured):
        # that is about this folder, not about rights
        print(
            "rights: not every agent started, so nothing is written. Other users have to be able to"
            f" read {sys.executable} and {PAGE.parents[2]}",
            file=sys.stderr,
        )
        return 1
    if options.full:
        PAGE.write_text(written(PAGE.read_text(), measured))
    return 0
