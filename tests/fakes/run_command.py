"""``chainbench-agent`` as a process of its own, and ``run`` with an agent that a test chooses."""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fakes.agent_server import FakeAgent

from agent.client.interpreter import own_module

PYTHON = [sys.executable, "-ISc"]

UNTIL_IT_SLEEPS = 'until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.01; done'
"""For a shell's script, after a command in the background that is to become a ``sleep``."""


def line(*arguments: object) -> list[str]:
    return list(own_module("agent", *map(str, arguments)).command)


def environment(**variables: str) -> dict[str, str]:
    """Return this environment without what would choose an agent or a width."""
    chosen = ("CHAINBENCH_AGENT", "COLUMNS", "NO_COLOR")
    kept = {k: v for k, v in os.environ.items() if k not in chosen and not k.startswith("PYTHON")}
    return {**kept, "LC_ALL": "C.UTF-8", **variables}


def finished(command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end. ``options`` are those of `subprocess.run`."""
    return subprocess.run(
        command,
        **{
            "env": environment(),
            "stdin": subprocess.DEVNULL,
            "capture_output": True,
            **options,
        },
        text=True,
        check=False,
    )


@contextlib.contextmanager
def ready(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Yield a running command that has printed the line ``ready``. ``options``: Popen's."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    settings = {"env": environment(), "stdin": subprocess.DEVNULL, **pipes, **options}
    with subprocess.Popen(command, text=True, **settings) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        except BaseException:
            process.kill()  # it may wait for what will not come now
            raise


def run(
    fake: FakeAgent, command: list[str], *options: object
) -> "subprocess.CompletedProcess[str]":
    """Run a command around which a fake agent measures."""
    return finished(line("run", "--agent", fake.url, *options, "--", *command))


def in_shell(fake: FakeAgent, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash's, in which ``measured`` is ``run --agent URL``."""
    command = shlex.join(line("run", "--agent", fake.url))
    return finished(["bash", "-c", f'measured() {{ {command} "$@"; }}\n{script}'])


def fakes_process(code: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Start a program of Python's that finds these tests' helpers."""
    found = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, env={**environment(), "PYTHONPATH": found}, text=True, **options
    )
