"""Made-up runs of a series, of which all is known, and what the document says of them."""

import json
from typing import Any

from fakes.sample_evidence import evidence

from agent.run.document import document_of
from agent.run.held import Ended
from agent.run.runs import End, Run
from agent.run.series_plan import BASELINE, COMMAND, OPTIMIZED, SeriesPlan

ALONE = SeriesPlan({COMMAND: ["a"]}, most=10, seed=1)
PAIRS = SeriesPlan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=10, seed=1)


def run(side: str, number: int, ms: float, whole: Any = None, status: int = 0, **took: Any) -> Run:
    command = {"exit_status": status, "user_ms": 1.0, "system_ms": 0.0, **took}
    ended = Ended(status, ms / 1e3, 0.001, 0.0, None, 1, 0, 0)
    return Run(side, number, True, ended, command, whole if whole is not None else evidence())


def reasons(**ms: float) -> dict[str, Any]:
    """Return evidence of a run that was blocked for these reasons, and for no others."""
    rows = [{"reason": name, "ms": value} for name, value in ms.items()]
    other = {"ms": 0.0, "count": 0}
    return evidence(offcpu={"total_ms": sum(ms.values()), "top_reasons": rows, "other": other})


def noise(number: int) -> float:
    """Return something near 0 that has no trend."""
    return [0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.15, -0.25, 0.05, -0.05][number % 10]


def alone(*wholes: Any, times: Any = None) -> dict[str, Any]:
    """Return what is said of the only command's runs."""
    runs = [run(COMMAND, n, times[n] if times else 100, one) for n, one in enumerate(wholes)]
    side: dict[str, Any] = document_of(ALONE, runs, End("runs"))["sides"][COMMAND]
    return side


def compared(
    before: Any = None, after: Any = None, ms: tuple[float, float] = (100, 100), pairs: int = 10
) -> dict[str, Any]:
    runs = []
    for n in range(pairs):
        for side, whole, mean in ((BASELINE, before, ms[0]), (OPTIMIZED, after, ms[1])):
            made = whole(n) if callable(whole) else whole
            runs.append(run(side, n, mean + noise(n + len(side)), made))
    document = document_of(PAIRS, runs, End("runs"))
    json.dumps(document, allow_nan=False)
    comparison: dict[str, Any] = document["comparison"]
    return comparison


def figure(of: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in of["figures"] if one["name"] == name]
    return dict(found)
