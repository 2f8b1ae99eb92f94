"""The examples of a page, run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

from fakes.pages import DOCS
from fakes.waiting import PATIENCE_SECONDS

AGENTS = re.compile(r"http://127\.0\.0\.1:\d+")
"""The agents that pages name. A test's agent is on another port."""


def examples(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language. Pages are those of the how-to folder."""
    text = (DOCS / "how-to" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def tried(script: str, folder: Path, agent: str) -> str:
    """Run a script of a shell in a folder, with an agent in the place of the page's.

    The interpreter of the tests and its scripts are found first. Returns standard output; fails
    with all output if a command fails.
    """
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CHAINBENCH_AGENT": agent,
        "XDG_STATE_HOME": str(folder / "state"),
        "COLUMNS": "80",
    }
    done = subprocess.run(
        ["bash", "-ec", AGENTS.sub(agent, script)],
        cwd=folder,
        # that these tests may be in a process of pytest-xdist is not for others to know
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout
