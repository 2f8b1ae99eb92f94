"""``python -m benchmarks``: what collecting costs, how often a verdict or a cause is wrong."""

import argparse
import signal
import sys
from typing import Any

from agent.client.spawn import AgentDidNotStart
from benchmarks.against import NotACheckout
from benchmarks.commands import (
    causes,
    clients,
    compare_power,
    kept_runs,
    merge,
    micro,
    overhead,
    rights,
    run_cost,
    scrape_size,
    targets,
    verdicts,
)

COMMANDS = (
    *(overhead, targets, micro, verdicts, causes),
    *(run_cost, compare_power, kept_runs, rights, scrape_size, clients, merge),
)
"""In the order of ``--help``."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # what loads and agents have started is ended with them, as after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status: int = options.run(options)
    except (NotACheckout, AgentDidNotStart) as error:
        print(error, file=sys.stderr)
        return 2
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and makes such parsers for the commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m benchmarks",
        description="Measure what collecting costs, and how often a verdict is wrong.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
