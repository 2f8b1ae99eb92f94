"""The command line: turns arguments into settings and runs a subcommand."""

import argparse
import sys
from collections.abc import Sequence

from agent import __version__
from agent.model import TIMINGS, TRANSPORT_CHOICES
from agent.settings import Settings

COMMANDS = ("serve", "demo", "show", "overhead")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status; the default is ``serve``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # chainbench-agent --port 9090, without a subcommand, has always meant serve
    if not arguments or (arguments[0] not in COMMANDS and arguments[0] not in TOP_LEVEL):
        arguments.insert(0, "serve")
    command: list[str] = []
    if arguments[0] == "overhead" and "--" in arguments:
        split = arguments.index("--")
        arguments, command = arguments[:split], arguments[split + 1 :]
    options = build_parser().parse_args(arguments)
    if options.subcommand == "overhead":
        options.workload = command
    return int(options.run(options))


TOP_LEVEL = ("-h", "--help", "--version")


def build_parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="chainbench-agent",
        description="Kernel-level evidence for benchmark runs: eBPF probes, controlled over HTTP.",
    )
    parser.add_argument("--version", action="version", version=f"chainbench-agent {__version__}")
    commands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="run the agent (the default)")
    serve.add_argument(
        "--port",
        type=_port,
        default=defaults.port,
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    serve.add_argument(
        "--host", default=defaults.host, help="address or name to bind (default: %(default)s)"
    )
    serve.add_argument(
        "--machine", default=defaults.machine, help="machine label (default: the host name)"
    )
    serve.add_argument("--user", help="user for the HTTP process (default: an unused uid)")
    serve.add_argument(
        "--label-sets",
        type=_positive,
        default=defaults.label_sets,
        help="number of different label sets that /metrics keeps (default: %(default)s)",
    )
    serve.add_argument(
        "--allow-host",
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
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="run a bundled workload and print its evidence")
    demo.add_argument("--agent", metavar="URL", help="URL of a running agent (default: start one)")
    demo.set_defaults(run=_demo)

    show = commands.add_parser("show", help="print saved evidence in readable form")
    show.add_argument("file", help="file with evidence as JSON; - for standard input")
    show.set_defaults(run=_show)

    overhead = commands.add_parser(
        "overhead", help="measure what each section costs a workload: overhead [-- COMMAND]"
    )
    overhead.add_argument(
        "--rounds", type=_positive, default=10, help="pairs of runs per section (%(default)s)"
    )
    overhead.set_defaults(run=_overhead, workload=[])
    return parser


# Each subcommand imports what it needs when it runs, to keep the serving process small.


def _serve(options: argparse.Namespace) -> int:
    from agent.processes.launch import serve

    return serve(
        Settings(
            host=options.host,
            port=options.port,
            machine=options.machine,
            user=options.user,
            label_sets=options.label_sets,
            allowed_hosts=tuple(options.allow_host),
            timing=options.timing,
            transport=options.transport,
        )
    )


def _demo(options: argparse.Namespace) -> int:
    from agent.demo.command import run_demo

    return run_demo(options.agent)


def _show(options: argparse.Namespace) -> int:
    from agent.show.command import show

    return show(options.file)


def _overhead(options: argparse.Namespace) -> int:
    from agent.overhead.command import run_overhead

    return run_overhead(options.workload or None, rounds=options.rounds)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError("must be a number of at least 1")
    return int(text)
