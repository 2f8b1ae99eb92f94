"""``chainbench-agent run``: run a command with evidence around it."""

import argparse

from agent.cli.measuring import add_measuring_options, measuring_options
from agent.cli.parser import Commands


def add(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run a command, and print what it took and what the kernel did: run -- COMMAND",
        usage="%(prog)s [-h] [--agent URL] [--wait SECONDS]\n"
        "       [--output FILE] [--json FILE] [--quiet] [--sections LIST]\n"
        "       [--details LIST] [--timing {clock,accounting}] [--scenario TEXT]\n"
        "       [--impl TEXT] [--variant TEXT] [--commit TEXT] [--dataset TEXT]\n"
        "       -- COMMAND ...",
        description="Run a command, measure it and everything that it starts, and print a report"
        " to standard error. The exit status is the command's.",
        epilog="After --: the command, and its arguments. A pipeline needs a shell:"
        " -- sh -c 'LINE'.",
    )
    add_measuring_options(run)
    run.set_defaults(parser=run, run=_run, workload=[])


def _run(options: argparse.Namespace) -> int:
    from agent.run.command import run_command

    if not options.workload:
        options.parser.error("there is no command: chainbench-agent run -- COMMAND")
    return run_command(options.workload, measuring_options(options))
