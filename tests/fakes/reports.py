"""Documents that reports are made of, with distributions as large as real ones."""

from typing import Any

import numpy as np
from fakes.sample_evidence import evidence

from agent.aggregate.histogram import LatencyHistogram
from agent.run.document import document_of
from agent.run.held import Ended
from agent.run.runs import End, Run
from agent.run.series_plan import BASELINE, COMMAND, OPTIMIZED, SeriesPlan

HOSTILE = "<script>alert(1)</script> ]]> $x^2$ \x1b[31m \u202e & \"'"


def latencies(median_us: float, samples: int, seed: int, spread: float = 1.5) -> dict[str, Any]:
    """Return a latency section of a distribution with a long tail."""
    drawn = np.random.default_rng(seed).lognormal(np.log(median_us * 1000), spread, samples)
    histogram = LatencyHistogram()
    histogram.fold(np.clip(drawn, 1, 9e10).astype(np.int64))
    return {
        **histogram.summary(),
        "histogram": histogram.power_of_two_buckets(),
        "lost": 0,
        "hdr": histogram.encode(),
    }


def wall(computing: float, fsync: float, read: float = 1.5) -> dict[str, Any]:
    """Return a budget; times in ms, of which there are two besides these."""
    rest, idle = 0.75, 2.0
    blocked = fsync + read + rest
    whole = computing + blocked + idle
    states = {"computing": computing, "waiting_for_cpu": idle, "blocked": blocked, "stopped": 0.0}
    return {
        "available": True,
        "wall_ms": whole,
        "states": {n: {"ms": ms, "share": ms / whole} for n, ms in states.items()},
        "for_idle_cpu_ms": idle,
        "for_busy_cpu_ms": 0.0,
        "blocked_until": [
            {"reason": "fsync", "command": "bench", "ms": fsync, "count": 10},
            {"reason": "read", "command": "bench", "ms": read, "count": 3},
        ],
        "blocked_other_ms": rest,
        "cpu_ms": computing,
    }


def measured(number: int, faster: bool, samples: int = 4000) -> dict[str, Any]:
    """Return the evidence of one run of a faster or a slower command."""
    scale = 0.6 if faster else 1.0
    jitter = 1 + 0.02 * ((number * 7) % 5)
    return evidence(
        run_id=f"{'fast' if faster else 'slow'}-{number:08d}",
        checks=[],
        completeness={"verdict": "complete", "reasons": []},
        runqlat=latencies(3 * scale, samples, number),
        biolatency=latencies(90 * scale, samples // 8, number + 1000, 0.6),
        wall=wall(20 * jitter, 80 * scale * jitter),
    )


def run(side: str, number: int, seen: dict[str, Any], words: list[str], counts: bool = True) -> Run:
    """Return a run of a series that took as long as its budget says."""
    ms = seen["wall"]["wall_ms"] if "wall" in seen else 100.0 + number
    command = {
        "arguments": words,
        "exit_status": 0 if counts else 1,
        "signal": None,
        "wall_ms": ms,
        "user_ms": 15.0,
        "system_ms": 5.0,
        "minor_faults": 100,
        "left_behind": [],
    }
    ended = Ended(0 if counts else 1, ms / 1e3, 0.015, 0.005, None, 1, 100, 0)
    return Run(side, number, counts, ended, command, seen)


def compared(pairs: int = 20, words: tuple[str, str] = ("./old", "./new")) -> dict[str, Any]:
    """Return a series of pairs, as `run --baseline --optimized --json` saves it."""
    runs = [
        run(side, number, measured(number, side == OPTIMIZED), [word])
        for number in range(pairs)
        for side, word in zip((BASELINE, OPTIMIZED), words, strict=True)
    ]
    plan = SeriesPlan({BASELINE: [words[0]], OPTIMIZED: [words[1]]}, most=pairs, seed=1)
    return document_of(plan, runs, End("runs"))


def repeated(runs: int = 10) -> dict[str, Any]:
    """Return a series of one command."""
    own = [run(COMMAND, number, measured(number, False), ["./old"]) for number in range(runs)]
    return document_of(SeriesPlan({COMMAND: ["./old"]}, most=runs, seed=1), own, End("runs"))


def timeline(stretches: int, lost: int = 0) -> dict[str, Any]:
    """Return a timeline, in whose second half latencies are longer."""
    at_s = [1.0 * (n + 1) for n in range(stretches)]
    early = [min(n + 1, stretches // 2) * 1000 for n in range(stretches)]
    late = [max(n + 1 - stretches // 2, 0) * 50 for n in range(stretches)]
    listed = [{"bucket_us": 2, "counts": early}, {"bucket_us": 4096, "counts": late}]
    return {
        "at_s": at_s,
        "events": [a + b for a, b in zip(early, late, strict=True)],
        "lost": [0] * (stretches - 1) + [lost],
        "runqlat": listed,
        "biolatency": [],
    }


def single(**changes: Any) -> dict[str, Any]:
    """Return the evidence of one run, as `run --json` saves it."""
    seen = measured(1, False)
    command = run(COMMAND, 0, seen, ["./old", "--size", "10"]).command
    return {**seen, "timeline": timeline(60), "command": command, **changes}
