"""``chainbench-agent run`` for commands that run again and again, and what it saves of them."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.agent_server import FakeAgent

from agent.client.interpreter import own_module

CHOOSING = ("CHAINBENCH_AGENT", "COLUMNS", "NO_COLOR")
"""Variables that would choose an agent or a width."""


@dataclass(frozen=True)
class Done:
    status: int
    said: str
    output: str
    saved: dict[str, Any]

    @property
    def counted(self) -> list[dict[str, Any]]:
        return [run for run in self.saved["runs"] if run["counts"]]


def command_line(agent: str, *options: object, command: Sequence[str] = ()) -> list[str]:
    separated = ["--", *command] if command else []
    arguments = ["run", "--agent", agent, *map(str, options), *separated]
    return list(own_module("agent", *arguments).command)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in CHOOSING}
    return {**kept, "LC_ALL": "C.UTF-8"}


def series(
    agent: str,
    file: Path,
    *options: object,
    command: Sequence[str] = (),
    prefix: Sequence[str] = (),
    **streams: Any,
) -> Done:
    """Run a series to its end; its standard input holds a line that nobody is to read.

    ``prefix`` is a command that runs the one after it.
    """
    done = subprocess.run(
        [*prefix, *command_line(agent, "--json", file, *options, command=command)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        **{"input": "unread\n", **streams},
    )
    saved = json.loads(file.read_text()) if file.exists() else {}
    return Done(done.returncode, done.stderr, done.stdout, saved)


def run(agent: FakeAgent, trace: Path, *options: object, command: Any = ()) -> Done:
    """Run a series with the agent; what it saves is next to the file ``trace``."""
    return series(agent.url, trace.with_name("series.json"), *options, command=command)


def fails_in_run(number: int, trace: Path, how: str) -> list[str]:
    """Return a command that appends a line each time, and fails in that run."""
    return ["sh", "-c", f"echo run >> {trace}; [ $(wc -l < {trace}) -ne {number} ] || {how}"]
