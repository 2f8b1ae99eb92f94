"""``chainbench-agent completion``: print a script with which a shell completes the command line."""

import argparse

from agent.cli.parser import Commands
from agent.cli.values import socket_path

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
    complete_paths(parser, shtab.FILE, shtab.DIRECTORY)
    write(shtab.complete(parser, options.shell) + "\n")
    return 0


def complete_paths(parser: argparse.ArgumentParser, file: object, folder: object) -> None:
    """Have what is called a file or a folder complete as one, here and in all commands."""
    for action in parser._actions:
        if action.metavar == "FILE" or action.type is socket_path:
            action.complete = file  # type: ignore[attr-defined]  # shtab's own attribute
        elif action.metavar in ("FOLDER", "DIR"):
            action.complete = folder  # type: ignore[attr-defined]  # likewise
        if isinstance(action, argparse._SubParsersAction):
            for of_command in action.choices.values():
                complete_paths(of_command, file, folder)
