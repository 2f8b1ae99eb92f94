"""``chainbench-agent show``: print saved evidence."""

import argparse

from agent.cli.parser import Commands


def add(commands: Commands) -> None:
    show = commands.add_parser(
        "show",
        help="print saved evidence in readable form",
        description="Print saved evidence in readable form: the answer to POST /stop.",
    )
    show.add_argument(
        "file", metavar="FILE", help="file with evidence as JSON; - for standard input"
    )
    show.add_argument("--all", action="store_true", help="also print every other field of the file")
    show.set_defaults(parser=show, run=_show)


def _show(options: argparse.Namespace) -> int:
    from agent.show.command import show

    return show(options.file, everything=options.all)
