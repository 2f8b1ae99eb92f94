"""The command line: turns arguments into settings and runs a subcommand.

A module for each command adds its parser. It is imported only for that command, or for help, and
imports what the command needs only when it runs: the serving process stays small, and ``run`` soon
begins the command that it measures.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from agent import __version__
from agent.cli.parser import LONGEST_QUOTED, Parser, did_you_mean

COMMANDS = (
    *("serve", "run", "record", "runs", "compare", "demo", "show", "overhead"),
    *("config", "doctor", "completion"),
)
WITH_A_COMMAND = ("run", "overhead")
"""Commands that take another one, after --."""
FEW = 3
"""Commands that a hint names."""
TOP_LEVEL = ("-h", "--help", "--version")


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
    first = arguments[0]
    parser = build_parser([first] if first in COMMANDS else COMMANDS)
    if first not in (*COMMANDS, *TOP_LEVEL):
        parser.error(_no_such_command(first))
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        if options.subcommand in WITH_A_COMMAND and not unknown[0].startswith("-"):
            options.parser.error(_without_separator(options.subcommand, unknown))
        options.parser.error(_not_understood(unknown[0], options.parser))
    return options


def _no_such_command(name: str) -> str:
    quoted = repr(name[:LONGEST_QUOTED])
    if name.isdecimal():
        return f"there is no command {quoted}; a port is given as --port {name[:LONGEST_QUOTED]}"
    hint = did_you_mean(name, COMMANDS)
    return f"there is no command {quoted}{hint}; the commands are {', '.join(COMMANDS)}"


def _not_understood(argument: str, parser: argparse.ArgumentParser) -> str:
    if argument in COMMANDS:
        return f"the command {argument} must come first"
    name = argument.partition("=")[0]
    hint = _of_another(name, parser) or did_you_mean(name, list(_options_of(parser)), "--")
    return f"unrecognized argument {argument[:LONGEST_QUOTED]!r}{hint}"


def _of_another(name: str, parser: argparse.ArgumentParser) -> str:
    """Return a hint at the commands that have this option; nothing if none has it.

    What ``compare`` has may be asked of runs that ``run`` has kept, so that can be typed next.
    """
    others = {
        other.prog.removeprefix("chainbench-agent "): option
        for other in _commands_of(build_parser())
        if (option := _options_of(other).get(name))
    }
    if not others:
        return ""
    shown, more = list(others)[:FEW], " and others" if len(others) > FEW else ""
    typed = ""
    if parser.prog.endswith(" run") and (option := others.get("compare")):
        value = f" {option.metavar}" if option.metavar else ""
        typed = f": chainbench-agent compare last {name}{value}"
    return f" (an option of {', '.join(shown)}{more}{typed})"


def _options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the options that the help of a command has, by name."""
    known = parser._option_string_actions.items()
    return {name: option for name, option in known if option.help != argparse.SUPPRESS}


def _commands_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all commands below this one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from _commands_of(command)


def _without_separator(subcommand: str, command: Sequence[str]) -> str:
    meant = shlex.join(command)[:LONGEST_QUOTED]
    return f"the command to measure comes after --: chainbench-agent {subcommand} -- {meant}"


def build_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of a command line with these commands; each sets ``run`` and ``parser``."""
    parser = Parser(
        prog="chainbench-agent",
        description="Kernel-level evidence for benchmark runs: eBPF probes, controlled over HTTP.",
        epilog="Without a command the agent runs: chainbench-agent [OPTIONS of serve]. Each command"
        " has a --help of its own.",
    )
    parser.add_argument("--version", action="version", version=f"chainbench-agent {__version__}")
    # the name that argparse would find itself, by writing a usage
    commands = parser.add_subparsers(
        prog=parser.prog, dest="subcommand", metavar="COMMAND", required=True
    )
    for name in names:
        import_module(f"agent.cli.{name}").add(commands)
    return parser
