"""``chainbench-agent completion``: print a script with which a shell completes the command line."""

import argparse

from agent.cli.parser import Commands
from agent.cli.values import folder, path, socket_path

SHELLS = ("bash", "zsh")


def add(commands: Commands) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a script with which a shell completes commands and options",
        description="Print a script with which a shell completes commands and options. Needs the"
        " extra completion (shtab).",
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell: %(choices)s")
    completion.set_defaults(parser=completion, run=_completion)


def _completion(options: argparse.Namespace) -> int:
    from agent.terminal.output import complain, write

    try:
        import shtab
    except ModuleNotFoundError:
        complain(
            "chainbench-agent: completion needs the Python package shtab: install the extra"
            " completion, or pip install shtab in the agent's environment\n"
        )
        return 2
    from agent.cli import build_parser

    parser = build_parser()
    _complete_paths(parser, {path: shtab.FILE, socket_path: shtab.FILE, folder: shtab.DIRECTORY})
    write(shtab.complete(parser, options.shell) + "\n")
    return 0


def _complete_paths(parser: argparse.ArgumentParser, kinds: dict[object, object]) -> None:
    """Have options with a path complete as one, in this parser and those of its commands."""
    for action in parser._actions:
        if action.type in kinds:
            action.complete = kinds[action.type]  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for of_command in action.choices.values():
                _complete_paths(of_command, kinds)
