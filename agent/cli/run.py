"""``chainbench-agent run``: run a command with evidence around it."""

import argparse

from agent.cli.measuring import add_measuring_options, measuring_options
from agent.cli.parser import Commands
from agent.cli.series import add_series_options, plan_of


def add(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run a command, and print what it took and what the kernel did: run -- COMMAND",
        usage="%(prog)s [-h] [--agent URL] [--wait TIME]\n"
        "       [--output FILE] [--json FILE] [--quiet] [--sections LIST]\n"
        "       [--details LIST] [--timing {clock,accounting}] [--scenario TEXT]\n"
        "       [--impl TEXT] [--variant TEXT] [--commit TEXT] [--dataset TEXT]\n"
        "       [--runs N | --until PERCENT [--max-runs N]] [--warmup N]\n"
        "       [--setup LINE] [--prepare LINE] [--conclude LINE] [--cleanup LINE]\n"
        "       [--ignore-failure] [--show-output] [--shell SHELL]\n"
        "       [--export-json FILE] [--min-effect PERCENT] [--seed N]\n"
        "       (-- COMMAND ... | --baseline LINE --optimized LINE)",
        description="Run a command, measure it and everything that it starts, and print a report"
        " to standard error. The exit status is the command's.",
        epilog="After --: the command, and its arguments. A pipeline needs a shell:"
        " -- sh -c 'LINE'. A LINE is split into words, and no shell runs it without --shell.",
    )
    add_measuring_options(run)
    add_series_options(run)
    run.set_defaults(parser=run, run=_run, workload=[])


def _run(options: argparse.Namespace) -> int:
    from agent.run.command import run_command

    if plan := plan_of(options):
        from agent.run.series import run_series

        return run_series(plan, measuring_options(options))
    if not options.workload:
        options.parser.error("there is no command: chainbench-agent run -- COMMAND")
    return run_command(options.workload, measuring_options(options))
