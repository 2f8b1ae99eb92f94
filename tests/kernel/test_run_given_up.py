"""A signal to ``run`` and ``record`` while an agent of their own compiles: nothing stays behind."""

import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes.own_network import in_own_network
from fakes.processes import command_of, descendants, state_of
from fakes.run_command import environment, line
from fakes.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

WITHOUT_PROGRAMS = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]
"""Begins a command to which no earlier agent has left compiled programs."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("how", ["run", "A/B", "record"])
def test_its_agent_ends_with_it_while_that_compiles(tmp_path: Path, how: str, name: str) -> None:
    number, trace = getattr(signal, name), tmp_path / "trace"
    run = ("run", "--no-store", "--quiet")
    command = {
        "run": line(*run, "--", "touch", trace),
        "A/B": line(*run, "--baseline", f"touch {trace}", "--optimized", "true"),
        "record": line("record", "--system"),
    }[how]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                in_own_network([*WITHOUT_PROGRAMS, *command]),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(process.kill)  # a defect is not waited for
        compiler = eventually(lambda: _compiler(process.pid))
        os.kill(compiler, signal.SIGSTOP)  # it ends with its agent all the same
        started = descendants(process.pid)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -number
    assert "interrupted" in said or "ended by" in said
    assert compiler in started
    eventually(lambda: not any(map(state_of, started)))
    assert not trace.exists()


def _compiler(pid: int) -> int | None:
    found = (one for one in descendants(pid) if "compiler.py" in command_of(one))
    return next(found, None)
