"""Requests generated from an agent's ``/openapi.json`` by schemathesis."""

import re
import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))


def check_answers(url: str, folder: Path, examples: int, *unchecked: str) -> int:
    """Send generated requests, valid and invalid; return how many.

    Fails unless each answer has a declared status, type and body and is no 5xx, every valid request
    is accepted and every invalid one refused. ``unchecked`` names checks to leave out. ``folder``
    is an empty one: schemathesis keeps what it learns in its working directory.
    """
    command = [SCHEMATHESIS, "run", f"{url}/openapi.json", f"--max-examples={examples}"]
    options = [
        "--generation-deterministic",
        "--no-color",
        "--continue-on-failure",
        "--warnings=off",
    ]
    excluded = [f"--exclude-checks={','.join(unchecked)}"] if unchecked else []
    done = subprocess.run(
        [*command, *options, *excluded], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (cases,) = re.findall(r"^  ([\d,]+) generated, \1 passed$", done.stdout, re.MULTILINE)
    return int(cases.replace(",", ""))
