"""Runs to keep, and documents of them, as ``run --json`` saves them."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from fakes.sample_evidence import evidence

from agent.store.documents import runs_of, series_of
from agent.store.opening import open_store, open_to_read
from agent.store.run import KeptRun, KeptSeries
from agent.store.selection import Selection

STARTED = "2026-03-01T10:{:02d}:{:02d}.000+00:00"


def command(**changes: Any) -> dict[str, Any]:
    return {
        "arguments": ["sh", "-c", "exit 0"],
        "exit_status": 0,
        "signal": None,
        "wall_ms": 12.5,
        "user_ms": 3.25,
        "system_ms": 1.5,
        "max_resident_bytes": 2**20,
    } | changes


def labels(**changes: str) -> dict[str, str]:
    names = ("scenario", "impl", "variant", "commit", "dataset")
    return {**dict.fromkeys(names, ""), "machine": "bench-1", **changes}


def single(second: int = 0, **given: str) -> dict[str, Any]:
    """Return the document of one run. ``given``: its labels."""
    started = STARTED.format(second // 60, second % 60)
    measured = evidence(run_id=str(uuid4()), started_at=started, labels=labels(**given))
    return {**measured, "command": command()}


def pairs(rounds: int, second: int = 0, **given: str) -> dict[str, Any]:
    """Return the document of a series of pairs, of which the second side takes a tenth less."""
    sides = {"baseline": ["sleep", "0.1"], "optimized": ["sleep", "0.09"]}
    runs = []
    for number in range(rounds):
        for place, (side, words) in enumerate(sides.items()):
            at = second + 2 * number + place
            started = STARTED.format(at // 60, at % 60)
            own = labels(scenario=side, **given)
            wall = 100.0 + number - 10 * place
            runs.append(
                {
                    "side": side,
                    "round": number + 1,
                    "counts": True,
                    "command": command(arguments=words, wall_ms=wall),
                    "evidence": evidence(run_id=str(uuid4()), started_at=started, labels=own),
                }
            )
    plan = {"commands": sides, "ended_by": "runs", "ended_early": None, "min_effect": 0.01}
    return {"series": plan, "sides": {}, "runs": runs}


def kept(document: dict[str, Any], source: str = "run") -> tuple[list[KeptRun], KeptSeries | None]:
    return runs_of(document, source), series_of(document)


def keep_in(path: Path, *documents: dict[str, Any]) -> None:
    with open_store(path) as store:
        for document in documents:
            store.keep(*kept(document))


def ids(path: Path) -> list[str]:
    with open_to_read(path) as store:
        return [run.id for run in store.find(Selection())]


@contextlib.contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    """Have another writer hold the store meanwhile."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
