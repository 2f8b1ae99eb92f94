"""``chainbench-agent record``: measure what already runs."""

import argparse

from agent.cli.measuring import add_measuring_options, measuring_options
from agent.cli.parser import Commands
from agent.cli.values import cgroup, pid, time


def add(commands: Commands) -> None:
    record = commands.add_parser(
        "record",
        help="measure what already runs: a process, a cgroup or the whole machine",
        description="Measure a process and its children, a cgroup or the whole machine, until"
        " Ctrl-C, and print a report.",
    )
    scope = record.add_mutually_exclusive_group(required=True)
    scope.add_argument(
        "--pid", type=pid, metavar="N", help="a process, its threads and its descendants"
    )
    scope.add_argument(
        "--cgroup", type=cgroup, metavar="PATH", help="a cgroup v2 and those below it"
    )
    scope.add_argument("--system", action="store_true", help="the whole machine")
    record.add_argument(
        "--for",
        type=time,
        dest="seconds",
        metavar="TIME",
        help="end after this time, for example 10s, 500ms, 2m (default: at Ctrl-C)",
    )
    add_measuring_options(record)
    record.set_defaults(parser=record, run=_record)


def _record(options: argparse.Namespace) -> int:
    from agent.run.record import record

    scope: str | dict[str, int | str] = "system"
    if options.pid is not None:
        scope = {"pid": options.pid}
    elif options.cgroup is not None:
        scope = {"cgroup": options.cgroup}
    measured = measuring_options(options)
    if measured.others:
        options.parser.error("argument --agent: record measures with one agent; run takes several")
    return record(scope, options.seconds, measured)
