"""The command line: arguments become settings, and a subcommand runs."""

import argparse
import sys
from collections.abc import Sequence

from agent import __version__
from agent.model import TIMINGS, TRANSPORT_CHOICES
from agent.settings import Settings

COMMANDS = ("serve", "demo", "show", "overhead")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status; without one it is ``serve``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # chainbench-agent --port 9090 has always meant serve
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
        description="Kernel-level evidence for benchmark runs, from eBPF, over HTTP.",
    )
    parser.add_argument("--version", action="version", version=f"chainbench-agent {__version__}")
    commands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="run the agent (the default)")
    serve.add_argument("--port", type=_port, default=defaults.port, help="default: %(default)s")
    serve.add_argument("--host", default=defaults.host, help="address to bind (%(default)s)")
    serve.add_argument("--machine", default=defaults.machine, help="the machine label (host name)")
    serve.add_argument("--user", help="whom the HTTP process becomes (an unused uid of its own)")
    serve.add_argument(
        "--label-sets",
        type=_positive,
        default=defaults.label_sets,
        help="how many different label sets /metrics keeps (%(default)s)",
    )
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name that the Host header may carry; may be repeated",
    )
    serve.add_argument(
        "--timing",
        choices=TIMINGS,
        default=defaults.timing,
        help="time by the clock, or by the scheduler's own accounting (%(default)s)",
    )
    serve.add_argument(
        "--transport",
        choices=TRANSPORT_CHOICES,
        default=defaults.transport,
        help="ring buffer, perf buffers, or the ring where the kernel has one (%(default)s)",
    )
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="bracket a bundled workload and print the evidence")
    demo.add_argument("--agent", metavar="URL", help="an agent that runs already (one of its own)")
    demo.set_defaults(run=_demo)

    show = commands.add_parser("show", help="print saved evidence for a person")
    show.add_argument("file", help="a file holding evidence as JSON, - for standard input")
    show.set_defaults(run=_show)

    overhead = commands.add_parser(
        "overhead", help="what each section costs a workload here: overhead [-- COMMAND]"
    )
    overhead.add_argument(
        "--rounds", type=_positive, default=10, help="pairs of runs for each section (%(default)s)"
    )
    overhead.set_defaults(run=_overhead, workload=[])
    return parser


# Each subcommand imports what it needs when it runs: the serving process stays small.


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
        raise argparse.ArgumentTypeError("a number, at least 1")
    return int(text)
