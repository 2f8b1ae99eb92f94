"""Documents of series and of comparisons, made up: what `show` and `compare` print."""

from typing import Any

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def interval(middle: float, by: float = 1.0) -> dict[str, float]:
    return {"low": middle - by, "middle": middle, "high": middle + by}


def side(**changes: Any) -> dict[str, Any]:
    whole = {
        "runs": 10,
        "failed": 0,
        "wall_ms": {
            "median": interval(101.23),
            "mean": 101.5,
            "deviation": 0.456,
            "lowest": 100.0,
            "highest": 152.0,
            "outliers": [
                {
                    "round": 7,
                    "ms": 152.0,
                    "excess_ms": 50.8,
                    "beyond": [{"name": "waiting for a CPU", "more_ms": 48.2}],
                }
            ],
            "drift": {
                "ms_per_run": interval(0.5, 0.1),
                "is_certain": True,
                "first_ms": 99.0,
                "rest_median_ms": 101.5,
                "first_differs": False,
            },
        },
        "user_ms_mean": 1.5,
        "system_ms_mean": 0.5,
        "verdicts": {"complete": 9, "degraded": 1},
        "figures": [
            {
                "name": "blocked: futex",
                "unit": "ms",
                "runs": 10,
                "median": interval(30),
                "lowest": 28.0,
                "highest": 33.0,
            },
            {
                "name": "execs",
                "unit": "count",
                "runs": 10,
                "median": interval(12),
                "lowest": 12,
                "highest": 12,
            },
        ],
        "histograms": {"runqlat": [{"bucket_us": 2, "count": 30}, {"bucket_us": 8, "count": 3}]},
    }
    return whole | changes


def figure(name: str, **changes: Any) -> dict[str, Any]:
    whole = {
        "name": name,
        "unit": "ms",
        "pairs": 10,
        "baseline": 30.0,
        "optimized": 5.0,
        "occurs_in": [10, 10],
        "difference": interval(-25),
        "p": 0.002,
        "adjusted_p": 0.008,
        "detectable": 1.5,
        "outcome": "smaller",
    }
    return whole | changes


def comparison(**changes: Any) -> dict[str, Any]:
    whole = {
        "pairs": 10,
        "baseline_first": 4,
        "outcome": "smaller",
        "change_pct": interval(-5.9, 0.5),
        "p": 0.00195,
        "sign_p": 0.00195,
        "detectable_pct": 0.8,
        "baseline_ms": interval(101),
        "optimized_ms": interval(95),
        "gain_pct": {**interval(5.8), "method": "BCa"},
        "figures": [
            figure("blocked: read", outcome="undecided", adjusted_p=0.446),
            figure("blocked: fsync"),
            figure("blocked: futex", occurs_in=[0, 10], difference=interval(4), outcome="larger"),
        ],
        "not_tested": ["calls: read"],
    }
    return whole | changes


def series(**changes: Any) -> dict[str, Any]:
    whole = {
        "commands": {"command": ["./benchmark", "10 MB"]},
        "most_runs": 10,
        "warmup": 2,
        "until": None,
        "min_effect": 0.01,
        "seed": None,
        "ended_by": "runs",
        "ended_early": None,
    }
    return whole | changes


def alone(**changes: Any) -> dict[str, Any]:
    return {"series": series(), "sides": {"command": side()}, "runs": []} | changes


def pairs(**changes: Any) -> dict[str, Any]:
    return {
        "series": series(commands={"baseline": ["./old"], "optimized": ["./new"]}, seed=7),
        "sides": {"baseline": side(), "optimized": side()},
        "comparison": comparison(**changes),
        "runs": [],
    }
