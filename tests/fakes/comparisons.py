"""What `compare --json` prints, made up."""

from copy import deepcopy
from typing import Any

from fakes.series_documents import figure, interval, pairs


def state(name: str, baseline: float, optimized: float, outcome: str) -> dict[str, Any]:
    difference = interval(optimized - baseline, 0.5)
    return figure(
        f"wall: {name}",
        baseline=baseline,
        optimized=optimized,
        difference=difference,
        outcome=outcome,
        kind="state",
    )


def part(name: str, middle: float, by: float = 1.0, *, certain: bool = False) -> dict[str, Any]:
    difference = interval(middle, by)
    return {"name": name, "runs": [10, 10], "difference_ms": difference, "is_certain": certain}


def quantile(value: float, middle: float, by: float) -> dict[str, Any]:
    return {
        "quantile": value,
        "runs": [10, 10],
        "baseline_us": 100.0,
        "optimized_us": 100.0 + middle,
        "difference_us": interval(middle, by),
    }


FIGURES = [
    state("computing", 40.0, 41.0, "undecided"),
    state("blocked", 60.0, 35.0, "smaller"),
    figure("blocked: read", outcome="undecided"),
    figure("blocked: fsync"),
    figure("user CPU", difference=interval(3), outcome="larger"),
]


def compared(**changes: Any) -> dict[str, Any]:
    """Return what `compare --json` prints, of pairs; ``changes`` are those of the comparison."""
    document = pairs(
        **{
            "method": "pairs",
            "conclusive": True,
            "inconclusive_because": [],
            "figures": deepcopy(FIGURES),
            "parts": [
                part("blocked: fsync", -25.0, certain=True),
                part("computing", 3.0),
                part("stopped", 0.1),
            ],
            "changed": [{"name": "wall: blocked"}, {"name": "blocked: fsync"}],
            "appeared": [
                {
                    "name": "blocked: futex",
                    "unit": "ms",
                    "occurs_in": [0, 9],
                    "runs": [10, 10],
                    "median": 4.0,
                }
            ],
            "vanished": [],
            "shift": {"runqlat": [quantile(0.5, 0.1, 1), quantile(0.999, 40, 10)]},
            **changes,
        }
    )
    document["compared"] = {
        "selected": {"baseline": "commit=abc", "optimized": "commit=def"},
        "labels": {"baseline": {"commit": ["abc"]}, "optimized": {"commit": ["def", "fed"]}},
        "why_no_pairs": None,
        "timed_by": "command",
        "notes": ["layout was not varied"],
        "left_out": [{"why": "it failed"}, {"why": "it failed"}],
    }
    return document


def groups(**changes: Any) -> dict[str, Any]:
    runs = {"baseline": 10, "optimized": 12}
    document = compared(**{"method": "groups", "pairs": None, "runs": runs, **changes})
    document["compared"]["why_no_pairs"] = "they are not of one series"
    return document
