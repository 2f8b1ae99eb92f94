"""The protocol between a program and the test that started it (fakes/program.py)."""

import json
import os
import select
import sys


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def wait() -> str:
    """Return the next line from the test, which may be just "go"; exit if the test has ended.

    The program blocks in select(), never in the read() that follows.
    """
    select.select([0], [], [])
    line = os.read(0, 4096)
    if not line:
        sys.exit()
    return line.decode().strip()
