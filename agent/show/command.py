"""``chainbench-agent show FILE``: print saved evidence in readable form."""

import json
import sys
from pathlib import Path

from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.values import printable


def show(path: str) -> int:
    """Print the evidence in a file (``-``: standard input). Return 0, or 1 if it is unreadable."""
    try:
        source = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        evidence = json.loads(source)
    except (OSError, ValueError, RecursionError) as error:
        return refuse(path, str(error))
    if not isinstance(evidence, dict):
        return refuse(path, "not a JSON object")
    color = terminal.wants_color(sys.stdout)
    terminal.write(render(evidence, width=terminal.columns(), color=color))
    return 0


def refuse(path: str, why: str) -> int:
    terminal.write(f"cannot read evidence from {printable(path)}: {printable(why)}\n", sys.stderr)
    return 1
