"""The parser, and what its complaints have in common."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias

from agent.terminal import output as terminal

LONGEST_QUOTED = 100
OPTIONAL = re.compile(r"\[--?\w(?:[^][]|\[[^][]*\])*\](?:\.\.\.)?")
"""What a usage has of an option that may be left out, or of several that exclude one another."""
COLORS = re.compile("\x1b\\[[0-9;]*m")
"""What a usage may have on a terminal, from Python 3.14 on."""


class Parser(argparse.ArgumentParser):
    """A parser whose help and complaints survive a stream that cannot take them.

    It takes no abbreviations: a next version's option could make one of them ambiguous.
    ``status_of_mistakes`` is the exit status after a complaint.
    """

    def __init__(self, *, status_of_mistakes: int = 2, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": _formatter, **settings})
        self._status_of_mistakes = status_of_mistakes

    def error(self, message: str) -> NoReturn:
        """End the program with a line of usage and one that says what is wrong."""
        said = f"{self._short_usage()}{self.prog}: error: {message}\n"
        self.exit(self._status_of_mistakes, said)

    def _short_usage(self) -> str:
        """Return the usage if it is a line, else the same without options that may be left out."""
        whole = self.format_usage()
        if whole.count("\n") == 1:
            return whole
        begins, program, rest = COLORS.sub("", whole).partition(self.prog)
        needed = OPTIONAL.sub("", rest).split()
        return " ".join([f"{begins}{program} [-h | OPTIONS]", *needed]) + "\n"

    # From Python 3.14 on argparse expands the help of each option as it is added, with colours:
    # that imports what only the help of a command needs. Tests print all of it.
    def _check_help(self, action: argparse.Action) -> None:
        pass

    def _get_validation_formatter(self) -> argparse.HelpFormatter:
        return _Colourless(self.prog, width=80)

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own raises OSError before Python 3.12
        if file is sys.stdout:
            terminal.write(message)
        else:
            terminal.complain(message)


class _Colourless(argparse.HelpFormatter):
    """What argparse checks options with, and prints nothing."""

    def _set_color(self, *_: object) -> None:
        """Import nothing: Python 3.14 looks for a terminal with colours here."""


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return argparse's own, with a width for which it imports nothing: each option needs one."""
    return argparse.HelpFormatter(prog, width=terminal.columns() - 2)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def did_you_mean(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Return a hint at the nearest name, if one is near. A ``prefix`` of all is not compared."""
    # Imported here because only mistakes need it.
    from difflib import get_close_matches

    nearest = get_close_matches(
        name.removeprefix(prefix), [one.removeprefix(prefix) for one in known], n=1
    )
    return f" (did you mean {prefix}{nearest[0]}?)" if nearest else ""
