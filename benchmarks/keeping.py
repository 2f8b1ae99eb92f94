"""The store of kept runs, for ``python -m benchmarks micro``: how long to keep one, and to list."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from agent.client.spawn import RunningAgent
from agent.runs.listing import grouped, listed
from agent.store.documents import runs_of
from agent.store.opening import open_store
from agent.store.run import RUN
from agent.store.selection import Selection
from agent.words import Json

RUNS = 10_000
KEPT_ALONE = 100
"""Runs with whole evidence, each kept by itself, as ``run`` does it."""
AT_ONCE = 500
COLUMNS = 80
LABEL = "measured"


def keep_and_list(agent: RunningAgent) -> dict[str, float]:
    """Measure keeping evidence of this agent, and listing `RUNS` runs, in milliseconds.

    A list reads no evidence, so all but a few of the runs have hardly any.
    """
    agent.post("/start", {"variant": LABEL})
    time.sleep(0.5)
    evidence = agent.post("/stop")
    hardly_any = {name: evidence[name] for name in ("available", "labels", "started_at")}
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder, "runs.db")) as store:
        for _ in range(0, RUNS - KEPT_ALONE, AT_ONCE):
            many = (_anew({**hardly_any, "labels": {}}) for _ in range(AT_ONCE))
            store.keep([run for document in many for run in runs_of(document, RUN)])
        kept = [
            _milliseconds(lambda: store.keep(runs_of(_anew(evidence), RUN)))
            for _ in range(KEPT_ALONE)
        ]
        return {
            "keep_run_ms": statistics.median(kept),
            "keep_run_ms_longest": max(kept),
            "kept_run_kb": next(store.find(Selection())).bytes / 1000,
            "list_10000_runs_ms": _milliseconds(
                lambda: listed(grouped(store.find(Selection())), COLUMNS)
            ),
            "find_runs_by_label_ms": _milliseconds(
                lambda: list(store.find(Selection(fields={"variant": LABEL})))
            ),
        }


def _anew(evidence: Json) -> Json:
    return {**evidence, "run_id": str(uuid4())}


def _milliseconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000
