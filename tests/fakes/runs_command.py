"""``chainbench-agent runs`` in the test's own process: the fixture ``runs`` of the unit tests."""

from collections.abc import Callable
from typing import NamedTuple


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Runs = Callable[..., Done]


def table(done: Done) -> list[list[str]]:
    """Return the words of the lines below the heading, of a command that succeeded."""
    assert (done.returncode, done.stderr) == (0, "")
    return [row.split() for row in done.stdout.splitlines()[1:]]


def listed_ids(done: Done) -> list[str]:
    return [row[0] for row in table(done)]
