"""``chainbench-agent run``: run a command with evidence around it."""

import argparse
import sys

from agent.cli.measuring import add_measuring_options, measuring_options
from agent.cli.parser import Commands
from agent.cli.series import add_series_options, plan_of
from agent.cli.values import user
from agent.exit_status import OWN_FAILURE
from agent.run.filters import Refused, try_calls
from agent.run.labels import CommitHere
from agent.run.options import Options, for_comparison
from agent.terminal.output import complain


def add(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run a command, and print what it took and what the kernel did: run -- COMMAND",
        usage="%(prog)s [-h] [--agent URL]... [--wait TIME]\n"
        "       [--output FILE] [--json FILE] [--html FILE] [--quiet]\n"
        "       [--sections LIST] [--details LIST] [--timing {clock,accounting}]\n"
        "       [--scenario TEXT] [--impl TEXT] [--variant TEXT] [--commit TEXT]\n"
        "       [--dataset TEXT | --dataset-file FILE] [--user NAME]\n"
        "       [--runs N | --until PERCENT [--max-runs N]] [--warmup N]\n"
        "       [--setup LINE] [--prepare LINE] [--conclude LINE] [--cleanup LINE]\n"
        "       [--ignore-failure] [--show-output] [--shell SHELL]\n"
        "       [--export-json FILE] [--min-effect PERCENT] [--seed N]\n"
        "       [--no-store]\n"
        "       (-- COMMAND ... | --baseline LINE --optimized LINE)",
        description="Run a command, measure it and everything that it starts, and print a report"
        " to standard error. The exit status is the command's.",
        epilog="After --: the command, and its arguments. A pipeline needs a shell:"
        " -- sh -c 'LINE'. A LINE is split into words, and no shell runs it without --shell.",
    )
    add_measuring_options(run)
    run.add_argument(
        "--dataset-file",
        metavar="FILE",
        help="a file whose SHA-256 is the label dataset",
    )
    run.add_argument(
        "--user",
        type=user,
        metavar="NAME",
        help="user to run the command as, by name or number; for root only (default: the caller)",
    )
    run.add_argument(
        "--no-store",
        action="store_true",
        help="do not keep what was measured",
    )
    add_series_options(run)
    run.set_defaults(parser=run, run=_run, workload=[])


def _run(options: argparse.Namespace) -> int:
    """Run what the options say; before that, a call that is refused ends it with a line."""
    if options.dataset_file is not None and options.dataset is not None:
        options.parser.error("--dataset and --dataset-file exclude each other")
    plan = plan_of(options)
    if not plan and not options.workload:
        options.parser.error("there is no command: chainbench-agent run -- COMMAND")
    try:
        try_calls()
    except Refused as error:
        complain(f"chainbench-agent run: {error}\n")
        return OWN_FAILURE
    # git answers while the rest is imported
    commit = CommitHere() if options.commit is None else None
    if plan:
        from agent.run.series import run_series

        measured = _measured(options, commit)
        return run_series(plan, for_comparison(measured) if plan.compares else measured)
    from agent.run.command import run_command

    return run_command(options.workload, _measured(options, commit))


def _measured(options: argparse.Namespace, commit: CommitHere | None) -> Options:
    """Return what to measure; labels that can be found out have their values."""
    measured = measuring_options(options)
    found = {"dataset": _dataset(options), "commit": commit.answer() if commit else ""}
    labels = {name: value for name, value in found.items() if value}
    return measured._replace(
        start={**measured.start, **labels}, user=options.user, keep=not options.no_store
    )


def _dataset(options: argparse.Namespace) -> str:
    """Return the SHA-256 of the file of the data set, in hex; an empty string without one."""
    if options.dataset_file is None:
        return ""
    from agent.run.dataset import CannotRead, sha256_of

    digest = ""
    try:
        digest = sha256_of(options.dataset_file, None if options.quiet else sys.stderr)
    except CannotRead as error:
        options.parser.error(f"argument --dataset-file: {error}")
    return digest
