"""The command line: turns arguments into settings and runs a subcommand."""

import argparse
import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from agent import __version__
from agent.http.host_names import host_to_allow, host_to_bind
from agent.model import TIMINGS, TRANSPORT_CHOICES, Labels, wrong_with_label
from agent.run.options import PATIENCE_S, Options
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SECTIONS
from agent.settings import Settings
from agent.terminal import output as terminal

COMMANDS = ("serve", "run", "record", "demo", "show", "overhead")
WITH_A_COMMAND = ("run", "overhead")
"""Commands that take another one, after --."""
LONGEST_TIME_S = 10**7
TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
LABEL_OPTIONS = tuple(field.name for field in dataclasses.fields(Labels))
LONGEST_QUOTED = 100
LARGEST_SEED = 10**9 - 1
MOCK_MACHINE = "mock"
"""The machine label of synthetic events: no other may be given to them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status; the default is ``serve``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command: list[str] = []
    separated = arguments[:1] in ([name] for name in WITH_A_COMMAND) and "--" in arguments
    if separated:
        split = arguments.index("--")
        arguments, command = arguments[:split], arguments[split + 1 :]
    options = _parse(_with_command(arguments))
    if separated and not command:
        options.parser.error("there is no command after --")
    if options.subcommand in WITH_A_COMMAND:
        options.workload = command
    return int(options.run(options))


def _with_command(arguments: Sequence[str]) -> list[str]:
    """Return arguments that begin with a command, or with an option that needs none."""
    first = arguments[0] if arguments else ""
    if first == "help":
        return [*arguments[1:2], "--help"]
    # chainbench-agent --port 9090, without a subcommand, has always meant serve
    if not first or (first.startswith("-") and first not in TOP_LEVEL):
        return ["serve", *arguments]
    return list(arguments)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse arguments. Exits with a hint for a command or an option that does not exist."""
    parser = build_parser()
    if arguments[0] not in (*COMMANDS, *TOP_LEVEL):
        parser.error(_no_such_command(arguments[0]))
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        if options.subcommand in WITH_A_COMMAND and not unknown[0].startswith("-"):
            options.parser.error(_without_separator(options.subcommand, unknown))
        options.parser.error(_not_understood(unknown[0], options.parser.format_usage()))
    return options


def _no_such_command(name: str) -> str:
    quoted = repr(name[:LONGEST_QUOTED])
    if name.isdecimal():
        return f"there is no command {quoted}; a port is given as --port {name[:LONGEST_QUOTED]}"
    hint = _did_you_mean(name, COMMANDS)
    return f"there is no command {quoted}{hint}; the commands are {', '.join(COMMANDS)}"


def _not_understood(argument: str, usage: str) -> str:
    if argument in COMMANDS:
        return f"the command {argument} must come first"
    hint = _did_you_mean(argument.partition("=")[0], re.findall(r"--[a-z-]+", usage))
    return f"unrecognized argument {argument[:LONGEST_QUOTED]!r}{hint}"


def _without_separator(subcommand: str, command: Sequence[str]) -> str:
    meant = shlex.join(command)[:LONGEST_QUOTED]
    return f"the command to measure comes after --: chainbench-agent {subcommand} -- {meant}"


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    # Imported here because only mistakes need it.
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


TOP_LEVEL = ("-h", "--help", "--version")


class _Parser(argparse.ArgumentParser):
    """A parser whose help and complaints survive a stream that cannot take them."""

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own raises OSError before Python 3.12
        if file is sys.stdout:
            terminal.write(message)
        else:
            terminal.complain(message)


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; each command sets ``run`` and ``parser``."""
    parser = _Parser(
        prog="chainbench-agent",
        description="Kernel-level evidence for benchmark runs: eBPF probes, controlled over HTTP.",
        epilog="Without a command the agent runs: chainbench-agent [OPTIONS of serve]. Each command"
        " has a --help of its own.",
    )
    parser.add_argument("--version", action="version", version=f"chainbench-agent {__version__}")
    commands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for add in (_add_serve, _add_run, _add_record, _add_demo, _add_show, _add_overhead):
        add(commands)
    return parser


def _add_serve(commands: _Commands) -> None:
    defaults = Settings()
    serve = commands.add_parser(
        "serve",
        help="run the agent (the default)",
        description="Run the agent until a signal ends it. Measuring requires root, or CAP_BPF and"
        " CAP_PERFMON.",
    )
    serve.add_argument(
        "--port",
        "-p",
        type=_port,
        default=defaults.port,
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    serve.add_argument(
        "--host",
        type=_host,
        default=defaults.host,
        help="address or name to bind (default: %(default)s)",
    )
    serve.add_argument(
        "--machine",
        type=_label,
        default=None,
        help="machine label (default: the host name)",
    )
    serve.add_argument("--user", help="user for the HTTP process (default: an unused uid)")
    serve.add_argument(
        "--label-sets",
        type=_positive,
        default=defaults.label_sets,
        metavar="N",
        help="number of different label sets that /metrics keeps (default: %(default)s)",
    )
    serve.add_argument(
        "--allow-host",
        type=_allowed_host,
        action="append",
        default=[],
        metavar="NAME",
        help="additional name to accept in the Host header; may be repeated",
    )
    serve.add_argument(
        "--timing",
        choices=TIMINGS,
        default=defaults.timing,
        help="time by the clock or by the scheduler's own accounting (default: %(default)s)",
    )
    serve.add_argument(
        "--transport",
        choices=TRANSPORT_CHOICES,
        default=defaults.transport,
        help="ring buffer, perf buffers, or auto: the ring if available (default: %(default)s)",
    )
    serve.add_argument(
        "--mock",
        action="store_true",
        help="synthetic events instead of the kernel's, marked as such, with machine=mock: "
        "for work on a runner or a dashboard without eBPF",
    )
    serve.add_argument(
        "--mock-seed",
        type=_seed,
        default=None,
        metavar="N",
        help=f"with --mock: seed of the synthetic events (default: {defaults.mock_seed})",
    )
    serve.set_defaults(parser=serve, run=_serve)


def _add_run(commands: _Commands) -> None:
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
    _add_measuring_options(run)
    run.set_defaults(parser=run, run=_run, workload=[])


def _add_record(commands: _Commands) -> None:
    record = commands.add_parser(
        "record",
        help="measure what already runs: a process, a cgroup or the whole machine",
        description="Measure a process and its children, a cgroup or the whole machine, until"
        " Ctrl-C, and print a report.",
    )
    scope = record.add_mutually_exclusive_group(required=True)
    scope.add_argument(
        "--pid", type=_pid, metavar="N", help="a process, its threads and its descendants"
    )
    scope.add_argument(
        "--cgroup", type=_cgroup, metavar="PATH", help="a cgroup v2 and those below it"
    )
    scope.add_argument("--system", action="store_true", help="the whole machine")
    record.add_argument(
        "--for",
        type=_time,
        dest="seconds",
        metavar="TIME",
        help="end after this time, for example 10s, 500ms, 2m (default: at Ctrl-C)",
    )
    _add_measuring_options(record)
    record.set_defaults(parser=record, run=_record)


def _add_demo(commands: _Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="run a bundled workload and print its evidence",
        description="Run a bundled workload of two seconds under an agent and print the evidence.",
    )
    demo.add_argument("--agent", metavar="URL", help="URL of a running agent (default: start one)")
    demo.set_defaults(parser=demo, run=_demo)


def _add_show(commands: _Commands) -> None:
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


def _add_overhead(commands: _Commands) -> None:
    overhead = commands.add_parser(
        "overhead",
        help="measure what each section costs a workload: overhead [-- COMMAND]",
        usage="%(prog)s [-h] [--rounds N] [--json FILE]\n       [-- COMMAND ...]",
        description="Measure what each section costs a workload on this machine.",
        epilog="After --: the command to measure, and its arguments (default: a ping-pong over"
        " pipes). A pipeline needs a shell: -- sh -c 'LINE'.",
    )
    overhead.add_argument(
        "--rounds",
        type=_positive,
        default=10,
        metavar="N",
        help="pairs of runs per section (default: %(default)s)",
    )
    overhead.add_argument(
        "--json", type=Path, metavar="FILE", help="also save the result, with every pair, as JSON"
    )
    overhead.set_defaults(parser=overhead, run=_overhead, workload=[])


def _add_measuring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``run`` and ``record`` share."""
    parser.add_argument(
        "--agent",
        metavar="URL",
        type=_url,
        default=os.environ.get("CHAINBENCH_AGENT") or None,
        help="URL of an agent (default: CHAINBENCH_AGENT, or the one on port 9090, or a new one)",
    )
    parser.add_argument(
        "--wait",
        type=_time,
        metavar="SECONDS",
        default=PATIENCE_S,
        help="how long to wait while another run is in progress (default: %(default)g)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the report to a file instead"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="save the evidence, which show prints in full"
    )
    parser.add_argument("--quiet", action="store_true", help="print no report")
    parser.add_argument(
        "--sections",
        type=_names_of(SECTIONS),
        metavar="LIST",
        help=f"sections to measure, comma-separated (default: {','.join(DEFAULT_SECTIONS)})",
    )
    parser.add_argument(
        "--details",
        type=_names_of(DETAILS),
        metavar="LIST",
        help=f"costlier measurements, comma-separated: {', '.join(DETAILS)}",
    )
    parser.add_argument(
        "--timing",
        choices=TIMINGS,
        help="time by the clock or by the scheduler's own accounting (default: the agent's)",
    )
    for name in LABEL_OPTIONS:
        parser.add_argument(
            f"--{name}", type=_run_label, metavar="TEXT", help=f"the label {name} of the run"
        )


# Each subcommand imports what it needs when it runs, to keep the serving process small.


def _serve(options: argparse.Namespace) -> int:
    from agent.processes.launch import serve

    defaults = Settings()
    if options.mock and options.machine is not None:
        options.parser.error("--machine cannot be given with --mock: the label is then mock")
    if options.mock_seed is not None and not options.mock:
        options.parser.error("--mock-seed needs --mock")
    machine = MOCK_MACHINE if options.mock else options.machine
    return serve(
        Settings(
            host=options.host,
            port=options.port,
            machine=defaults.machine if machine is None else machine,
            user=options.user,
            label_sets=options.label_sets,
            allowed_hosts=tuple(options.allow_host),
            timing=options.timing,
            transport=options.transport,
            mock=options.mock,
            mock_seed=defaults.mock_seed if options.mock_seed is None else options.mock_seed,
        )
    )


def _run(options: argparse.Namespace) -> int:
    from agent.run.command import run_command

    if not options.workload:
        options.parser.error("there is no command: chainbench-agent run -- COMMAND")
    return run_command(options.workload, _measuring_options(options))


def _record(options: argparse.Namespace) -> int:
    from agent.run.record import record

    scope: str | dict[str, int | str] = "system"
    if options.pid is not None:
        scope = {"pid": options.pid}
    elif options.cgroup is not None:
        scope = {"cgroup": options.cgroup}
    return record(scope, options.seconds, _measuring_options(options))


def _measuring_options(options: argparse.Namespace) -> Options:
    names = ("sections", "details", "timing", *LABEL_OPTIONS)
    return Options(
        agent=options.agent,
        start={name: value for name in names if (value := getattr(options, name)) is not None},
        patience_s=options.wait,
        output=options.output,
        json=options.json,
        quiet=options.quiet,
    )


def _demo(options: argparse.Namespace) -> int:
    from agent.demo.command import run_demo

    return run_demo(options.agent)


def _show(options: argparse.Namespace) -> int:
    from agent.show.command import show

    return show(options.file, everything=options.all)


def _overhead(options: argparse.Namespace) -> int:
    from agent.overhead.command import run_overhead

    return run_overhead(options.workload or None, rounds=options.rounds, json_file=options.json)


def _port(text: str) -> int:
    return _whole_number(text, 0, 65535, "a port is a number from 0 to 65535")


def _seed(text: str) -> int:
    return _whole_number(text, 0, LARGEST_SEED, f"a seed is a number from 0 to {LARGEST_SEED}")


def _pid(text: str) -> int:
    return _whole_number(text, 1, 2**22, "a pid is a number from 1 to 4194304")


def _cgroup(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(
            f"the path of a cgroup begins with /, not {text[:LONGEST_QUOTED]!r}"
        )
    return text


def _time(text: str) -> float:
    """Return seconds; a number without a unit is one of seconds."""
    found = TIME.fullmatch(text)
    seconds = float(found[1]) * SECONDS[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= LONGEST_TIME_S:
        raise argparse.ArgumentTypeError(
            f"a time is a number with ms, s, m or h, as in 10s, not {text[:LONGEST_QUOTED]!r}"
        )
    return seconds


def _names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return the parser of a comma-separated list of these names."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                hint = _did_you_mean(name, list(known))
                raise argparse.ArgumentTypeError(
                    f"there is no {name[:LONGEST_QUOTED]!r}{hint}; known are {', '.join(known)}"
                )
        return names

    return parse


def _url(text: str) -> str:
    from agent.client.http_client import AgentClient

    try:
        AgentClient(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"an agent's URL is http://HOST:PORT, not {text[:LONGEST_QUOTED]!r}"
        ) from None
    return text


def _positive(text: str) -> int:
    return _whole_number(text, 1, 10**9, "must be a number of at least 1")


def _whole_number(text: str, least: int, most: int, wrong: str) -> int:
    # int() also takes "1_000", " 1" and the digits of other scripts.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not (is_number and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{wrong}, not {text[:LONGEST_QUOTED]!r}")
    return int(text)


def _host(text: str) -> str:
    return _host_by(host_to_bind, text)


def _allowed_host(text: str) -> str:
    return _host_by(host_to_allow, text)


def _host_by(parse: Callable[[str], str], text: str) -> str:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _label(text: str) -> str:
    return _checked_label("the machine label", text)


def _run_label(text: str) -> str:
    return _checked_label("a label", text)


def _checked_label(what: str, text: str) -> str:
    if wrong := wrong_with_label(text):
        raise argparse.ArgumentTypeError(f"{what} {wrong}")
    return text
