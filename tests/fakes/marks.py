"""Marks: calls that nothing else makes, by a program that makes a given number of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.checks import skipped_calls
from fakes.program import program

MARKS = 100


def order(how: str, **details: Any) -> str:
    return json.dumps({"how": how, "marks": MARKS, **details})


def marks(evidence: Any) -> int:
    return int(evidence["syscall_counts"]["all"].get("getpgid", 0))


def assert_marks(evidence: Any, made: int) -> None:
    """Assert that as many were counted as were made, but for calls that the kernel let pass."""
    assert made - skipped_calls(evidence) <= marks(evidence) <= made


@contextmanager
def busy(path: Path) -> Iterator[dict[str, int]]:
    """Run a noisy neighbor during the block; afterwards the dict says how much of what it made."""
    made: dict[str, int] = {}
    with program("neighbour", path) as neighbour:
        neighbour.work()
        try:
            yield made
        finally:
            made |= neighbour.work()
