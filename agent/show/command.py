"""``chainbench-agent show FILE``: saved evidence, printed for a person."""

import json
import sys
from pathlib import Path

from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.values import printable


def show(path: str) -> int:
    """Prints the evidence in a file (``-`` is standard input); 0, or 1 where it cannot be read."""
    try:
        source = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        evidence = json.loads(source)
    except (OSError, ValueError, RecursionError) as error:
        return refuse(path, str(error))
    if not isinstance(evidence, dict):
        return refuse(path, "evidence is a JSON object, this is not one")
    color = terminal.wants_color(sys.stdout)
    terminal.write(render(evidence, width=terminal.columns(), color=color))
    return 0


def refuse(path: str, why: str) -> int:
    terminal.write(f"cannot read evidence from {printable(path)}: {printable(why)}\n", sys.stderr)
    return 1
