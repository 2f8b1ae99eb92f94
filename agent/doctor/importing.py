"""Try to import modules, in another interpreter: a library that is damaged may end it.

``python -m agent.doctor.importing MODULE[,MODULE …] …`` is what that interpreter runs.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module

from agent.client.children import child
from agent.client.interpreter import own_module
from agent.exit_status import how_it_ended
from agent.terminal.values import printable

SECONDS = 60.0
"""All libraries together take one, where nothing is wrong."""
LONGEST_ERROR = 300


def why_not(groups: Sequence[Sequence[str]]) -> list[str]:
    """Return for each group of modules why one of them cannot be imported; empty if all can.

    They are imported one after the other. If one kills the interpreter, a new one continues with
    the next group. Raises OSError if none can be started.
    """
    found: list[str] = []
    while rest := groups[len(found) :]:
        found += _said_of(rest)
    return found


def _said_of(groups: Sequence[Sequence[str]]) -> list[str]:
    """Return what one interpreter says, of the first group at least."""
    with child(
        own_module(__name__, *map(",".join, groups)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS)
            ended = f"the interpreter that imported it {how_it_ended(process.returncode)}"
        except subprocess.TimeoutExpired as late:
            output, ended = late.output or b"", f"it takes more than {SECONDS:g} s"
    began, *answers = output.splitlines() or [b""]
    if not began:
        raise ChildProcessError(errno.ECHILD, f"no library could be tried: {ended}")
    said = [printable(json.loads(answer), LONGEST_ERROR) for answer in answers]
    return said if len(said) == len(groups) else [*said, ended]


def main() -> None:
    """Answer on stdout: one line that this has begun, and then one for each group."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)  # each line at once
    os.dup2(2, 1)  # what a library prints is no answer
    answers.write("begun\n")
    for names in sys.argv[1:]:
        whys = filter(None, map(_why_not, names.split(",")))
        answers.write(f"{json.dumps(next(whys, ''))}\n")
    os._exit(0)  # whatever threads and handlers of exit a library has left


def _why_not(name: str) -> str:
    try:
        module = import_module(name)
    except BaseException as error:  # noqa: BLE001  a damaged one may raise anything
        said = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {said[-1]}"
    if getattr(module, "__file__", None) is None:  # what is left of one that was removed
        return f"{name} is a folder without a module"
    return ""


if __name__ == "__main__":
    main()
