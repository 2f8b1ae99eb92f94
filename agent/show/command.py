"""``chainbench-agent show FILE``: print saved evidence in readable form."""

import re
import sys

from agent.show.reading import NotEvidence, evidence_at, wrong_with_schema
from agent.show.series import is_series
from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.values import printable
from agent.terminal.width import fit

KEPT = re.compile(r"last(~\d{1,6})?|[0-9A-Za-z][0-9A-Za-z_-]{3,63}", re.ASCII)
"""What names a run that is kept: the beginning of its id, or how many came after it."""
MORE = "\nThe file holds more: chainbench-agent show --all prints every row and field.\n"


def show(path: str, *, everything: bool = False) -> int:
    """Print the evidence in a file (``-``: standard input). Return 0, or 1 if there is none."""
    try:
        evidence = evidence_at(path)
    except FileNotFoundError as error:
        return refuse(path, f"{error.strerror}{_a_kept_run(path)}")
    except OSError as error:
        return refuse(path, error.strerror or str(error))
    except NotEvidence as error:
        return refuse(path, str(error))
    if is_series(evidence) and (wrong := wrong_with_schema(evidence)):
        terminal.complain(f"{printable(path)}: {wrong}; what follows may be incomplete\n")
    color, width = terminal.wants_color(sys.stdout), terminal.columns(sys.stdout)
    report = render(evidence, width=width, color=color, everything=everything)
    terminal.write(report if everything else report + fit(MORE, width))
    return 0


def _a_kept_run(path: str) -> str:
    """Return what to do if the name of a file is meant to be that of a kept run."""
    if not KEPT.fullmatch(path):
        return ""
    return f". If that is a kept run: chainbench-agent runs show {path}"


def refuse(path: str, why: str) -> int:
    named = printable(path) or repr(path)
    terminal.complain(f"cannot read evidence from {named}: {printable(why, 500)}\n")
    return 1
