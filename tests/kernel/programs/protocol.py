"""How a program speaks with the test that started it (fakes/program.py)."""

import json
import os
import select
import sys


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def wait() -> str:
    """The next word from the test, which may say no more than "go". Ends us when it is gone.

    The wait is in select(), never in the read() that follows it.
    """
    select.select([0], [], [])
    line = os.read(0, 4096)
    if not line:
        sys.exit()
    return line.decode().strip()
