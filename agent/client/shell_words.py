"""The words of a command: what only a shell would understand, and what can be saved of them."""

import os
import re
import shlex
from collections.abc import Sequence

SHELL_WORD = re.compile(r"\|\|?|&&?|;|\d*(<|>>?)(&\d|\S*)")
"""What means something to a shell and nothing to a command."""
QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
VARIABLE = re.compile(r"[A-Za-z_]\w*=")


def hint(arguments: Sequence[str]) -> str:
    """Return how to run what only a shell understands, or an empty string."""
    a_line = len(arguments) == 1 and len(arguments[0].split()) > 1
    words = any(SHELL_WORD.fullmatch(argument) for argument in arguments)
    if not (a_line or words or VARIABLE.match(arguments[0])):
        return ""
    line = arguments[0] if a_line else " ".join(arguments)
    return f" (no shell runs the command; to have one: -- sh -c {shlex.quote(line)})"


def operator_in(line: str) -> str:
    """Return the first word of a line that is a shell's, and not quoted; empty if there is none."""
    words = QUOTED.sub("_", line).split()
    return next(filter(SHELL_WORD.fullmatch, words), "")


def savable(words: Sequence[str]) -> list[str]:
    """Return words that can be saved as UTF-8: bytes that are none are shown as escapes."""
    return [os.fsencode(word).decode(errors="backslashreplace") for word in words]
