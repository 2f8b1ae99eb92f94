"""``chainbench-agent serve``: run the agent."""

import argparse

from agent.cli import layers
from agent.cli.access import add_access, check_access, tls_files
from agent.cli.parser import Commands
from agent.cli.values import (
    allowed_host,
    deadline,
    folder,
    host,
    machine_label,
    mode,
    port,
    positive,
    seed,
    socket_path,
)
from agent.model import TIMINGS, TRANSPORT_CHOICES
from agent.settings import SOCKET_MODE, Settings, SocketFile
from agent.terminal.output import complain
from agent.words import SERVICE_SOCKET

LOG_FORMATS = ("text", "json")
MOCK_MACHINE = "mock"
"""The machine label of synthetic events: no other may be given to them."""


def add(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the agent (the default)",
        description="Run the agent until a signal ends it. Measuring requires root, or CAP_BPF and"
        " CAP_PERFMON.",
        epilog=f"Each option may also be set by a variable ({layers.PREFIX}PORT for --port) or in"
        " the file of --config (port = 9090). `chainbench-agent config` prints what is in force.",
    )
    add_options(serve)
    serve.set_defaults(parser=serve, run=_serve)


def add_options(serve: argparse.ArgumentParser) -> None:
    """Add the options of an agent, which other commands look at too."""
    defaults = Settings()
    serve.add_argument(
        "--port",
        "-p",
        type=port,
        default=defaults.port,
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    serve.add_argument(
        "--host",
        type=host,
        default=defaults.host,
        help="address or name to bind (default: %(default)s)",
    )
    serve.add_argument(
        "--machine",
        type=machine_label,
        default=None,
        help="machine label (default: the host name)",
    )
    serve.add_argument("--user", help="user for the HTTP process (default: an unused uid)")
    serve.add_argument(
        "--label-sets",
        type=positive,
        default=defaults.label_sets,
        metavar="N",
        help="number of different label sets that /metrics shows (default: %(default)s)",
    )
    serve.add_argument(
        "--allow-host",
        type=allowed_host,
        action="append",
        default=[],
        metavar="NAME",
        help="additional name to accept in the Host header; may be repeated",
    )
    serve.add_argument(
        "--socket",
        type=socket_path,
        metavar="PATH",
        help=f"also listen on this Unix socket, for example {SERVICE_SOCKET}: through it users may"
        " measure their own processes, root all",
    )
    serve.add_argument(
        "--socket-mode",
        type=mode,
        metavar="MODE",
        help=f"permissions of the socket, in octal (default: {SOCKET_MODE:04o})",
    )
    serve.add_argument(
        "--socket-group", metavar="GROUP", help="group of the socket, by name or number"
    )
    add_access(serve)
    serve.add_argument(
        "--data-dir",
        type=folder,
        metavar="DIR",
        help="keep every run in this folder, made if it is missing; as root, together with --user,"
        " whose folder it is",
    )
    serve.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=defaults.log_format,
        help="lines of the log: text, or JSON objects (default: %(default)s)",
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
        "--compile-deadline",
        type=deadline,
        default=defaults.compile_deadline_s,
        metavar="TIME",
        help="how long the probes may take to compile, which they do once per boot and kind of run"
        f" (default: {defaults.compile_deadline_s:g}s)",
    )
    serve.add_argument(
        "--mock",
        action="store_true",
        help="synthetic events instead of the kernel's, marked as such, with machine=mock: "
        "for work on a runner or a dashboard without eBPF",
    )
    serve.add_argument(
        "--mock-seed",
        type=seed,
        default=None,
        metavar="N",
        help=f"with --mock: seed of the synthetic events (default: {defaults.mock_seed})",
    )
    layers.prepare(serve)


def _serve(options: argparse.Namespace) -> int:
    from agent.processes.launch import serve

    layers.settle(options)
    check(options)
    for said in layers.unknown_variables(options.parser):
        complain(f"chainbench-agent: {said}\n")
    return serve(settings_of(options))


def check(options: argparse.Namespace) -> None:
    """End the program if options contradict each other."""
    if options.mock and options.machine is not None:
        options.parser.error("--machine cannot be given with --mock: the label is then mock")
    if options.mock_seed is not None and not options.mock:
        options.parser.error("--mock-seed needs --mock")
    if options.socket is None and (options.socket_mode, options.socket_group) != (None, None):
        options.parser.error("--socket-mode and --socket-group need --socket")
    check_access(options)


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings of options that are decided and checked."""
    defaults = Settings()
    machine = MOCK_MACHINE if options.mock else options.machine
    return Settings(
        host=options.host,
        port=options.port,
        machine=defaults.machine if machine is None else machine,
        user=options.user,
        label_sets=options.label_sets,
        allowed_hosts=tuple(options.allow_host),
        log_format=options.log_format,
        timing=options.timing,
        transport=options.transport,
        compile_deadline_s=options.compile_deadline,
        socket=_socket_file(options),
        token_file=options.token_file,
        read_token_file=options.read_token_file,
        tls_files=tls_files(options),
        insecure=options.insecure,
        data_dir=options.data_dir,
        mock=options.mock,
        mock_seed=defaults.mock_seed if options.mock_seed is None else options.mock_seed,
    )


def _socket_file(options: argparse.Namespace) -> SocketFile | None:
    if options.socket is None:
        return None
    mode = SOCKET_MODE if options.socket_mode is None else options.socket_mode
    return SocketFile(options.socket, mode, options.socket_group)
