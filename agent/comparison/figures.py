"""Figures of one run: sums and percentiles out of its evidence, each of them one observation.

A figure that is not known is absent. The agent may be of another version: what is not as expected
is not known.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from agent.comparison.totals import counts_of, lower_bounds, times_of
from agent.comparison.values import mapping, number, rows
from agent.terminal.evidence import FIVE_CALLS, total_ms, verdict

CPU = {"user_ms": "user CPU", "system_ms": "system CPU"}
BLOCKED_IN = "blocked: "
OF_WALL_TIME = "wall: "
ALL_CALLS = "calls"
CALLS = "calls: "
MOST_CALLED = 3
"""Calls that are figures although they are none of the above: those of which there are most."""
MS, COUNT = "ms", "count"
STATE, TIME, NUMBER, PERCENTILE = "state", "time", "count", "percentile"
"""Kinds of figures. States divide the wall time; times and counts are sums over tasks."""
LATENCIES = {"runqlat": "waiting for a CPU", "biolatency": "block I/O"}
FEWEST_SAMPLES = {"p95": 20, "p99": 100}
"""Of fewer, the percentile is the maximum."""


class Figures:
    """The figures of one run, by name. Times are in milliseconds."""

    def __init__(self, command: Mapping[str, Any], evidence: Mapping[str, Any]) -> None:
        trusted = evidence.get("available") is True and verdict(evidence) != "invalid"
        measured = evidence if trusted else {}
        is_without = evidence.get("available") is False
        off_cpu = mapping(measured.get("offcpu"))
        self.lower_bounds = lower_bounds(evidence) if is_without else frozenset[str]()
        """Names of the figures that may be larger: no test compares these."""
        self.states = _known(
            {
                name: mapping(state).get("ms")
                for name, state in mapping(mapping(measured.get("wall")).get("states")).items()
            }
        )
        self.times = _known(
            {
                **{words: command.get(field) for field, words in CPU.items()},
                "waiting for a CPU": total_ms(mapping(measured.get("runqlat"))),
                "blocked": off_cpu.get("total_ms"),
                **_reasons(off_cpu),
                "block I/O": total_ms(mapping(measured.get("biolatency"))),
                **(times_of(command, evidence) if is_without else {}),
            }
        )
        calls = mapping(measured.get("syscall_counts"))
        self.calls = _calls(calls.get("all"))
        self.counts = _known(
            {
                "execs": mapping(measured.get("exec")).get("exec_count"),
                "block I/O requests": mapping(measured.get("biolatency")).get("count"),
                ALL_CALLS: None if self.calls is None else sum(self.calls.values()),
                **{f"{CALLS}{name}": calls.get(name) for name in FIVE_CALLS},
                **(counts_of(command, evidence) if is_without else {}),
            }
        )
        self.percentiles = _known(
            {
                f"{name}: {words}": _percentile_ms(mapping(measured.get(section)), name)
                for section, words in LATENCIES.items()
                for name in FEWEST_SAMPLES
            }
        )
        self._interruptible = _known(
            {
                str(row.get("reason")): row.get("interruptible_ms")
                for row in rows(off_cpu.get("top_reasons"))
            }
        )
        other = mapping(off_cpu.get("other"))
        self._lists_all_reasons = other.get("count") == 0
        self._other_reasons_ms = number(other.get("ms"))

    def state(self, name: str) -> float | None:
        """Return the wall time in a state; None if the evidence has no budget."""
        return self.states.get(name)

    def time(self, name: str) -> float | None:
        """Return a time; None if it is not known.

        Evidence lists the longest reasons for being blocked: one that is not listed did not occur
        only where the others sum up to nothing.
        """
        if name.startswith(BLOCKED_IN) and self._lists_all_reasons:
            return self.times.get(name, 0.0)
        return self.times.get(name)

    def interruptible(self, reason: str) -> float | None:
        """Return how long tasks were blocked for a reason where a signal could have ended it."""
        if f"{BLOCKED_IN}{reason}" not in self.times and self._lists_all_reasons:
            return 0.0
        return self._interruptible.get(reason)

    def blocked_at_most(self, reason: str) -> float | None:
        """Return the longest that tasks can have been blocked for a reason, listed or not."""
        return self.times.get(f"{BLOCKED_IN}{reason}", self._other_reasons_ms)

    def count(self, name: str) -> float | None:
        """Return a count; None if it is not known. Evidence lists every call that was made."""
        if name.startswith(CALLS) and name not in self.counts and self.calls is not None:
            return self.calls.get(name.removeprefix(CALLS), 0.0)
        return self.counts.get(name)

    def percentile(self, name: str) -> float | None:
        """Return a percentile in ms; None where there are too few samples for one."""
        return self.percentiles.get(name)


class Figure(NamedTuple):
    """A figure that runs may have: its name, its unit and kind, and how to read it."""

    name: str
    unit: str
    kind: str
    of: Callable[[Figures], float | None]


def is_lower_bound(figure: Figure, runs: Sequence[Figures]) -> bool:
    """Return whether a figure may be larger than what is known of it, in any of the runs."""
    return any(figure.name in run.lower_bounds for run in runs)


def states(runs: Sequence[Figures]) -> list[Figure]:
    """Return the states of the budget of wall time in which any run was, in the budget's order."""
    names = dict.fromkeys(name for run in runs for name, ms in run.states.items() if ms > 0)
    return [
        Figure(f"{OF_WALL_TIME}{name}", MS, STATE, partial(Figures.state, name=name))
        for name in names
    ]


def times(runs: Sequence[Figures]) -> list[Figure]:
    """Return the times that are not 0 in all runs, the largest first."""
    names = _by_size([run.times for run in runs])
    return [Figure(name, MS, TIME, partial(Figures.time, name=name)) for name in names]


def counts(runs: Sequence[Figures]) -> list[Figure]:
    """Return the counts that are not 0 in all runs, the largest first.

    Of the calls they are the sum, those that have a field in the evidence, and a few more.
    """
    most = _by_size([run.calls or {} for run in runs])
    more = [f"{CALLS}{name}" for name in most if name not in FIVE_CALLS][:MOST_CALLED]
    listed = [
        run.counts | {name: known for name in more if (known := run.count(name)) is not None}
        for run in runs
    ]
    names = _by_size(listed)
    return [Figure(name, COUNT, NUMBER, partial(Figures.count, name=name)) for name in names]


def percentiles(runs: Sequence[Figures]) -> list[Figure]:
    """Return the percentiles of latencies that any run has, the largest first."""
    names = _by_size([run.percentiles for run in runs])
    return [Figure(name, MS, PERCENTILE, partial(Figures.percentile, name=name)) for name in names]


def _by_size(runs: Sequence[Mapping[str, float]]) -> list[str]:
    sums: Counter[str] = Counter()
    for run in runs:
        sums.update(run)
    return [name for name, total in sums.most_common() if total > 0]


def _known(values: Mapping[str, object]) -> dict[str, float]:
    return {
        name: float(known) for name, value in values.items() if (known := number(value)) is not None
    }


def _calls(listed: object) -> dict[str, float] | None:
    """Return how often each call was made; None unless that is known of all of them."""
    calls = mapping(listed)
    known = _known(calls)
    return known if isinstance(listed, dict) and len(known) == len(calls) else None


def _percentile_ms(section: Mapping[str, Any], name: str) -> float | None:
    count, us = number(section.get("count")), number(section.get(f"{name}_us"))
    return None if count is None or us is None or count < FEWEST_SAMPLES[name] else us / 1e3


def _reasons(section: Mapping[str, Any]) -> dict[str, object]:
    listed = rows(section.get("top_reasons"))
    return {f"{BLOCKED_IN}{row.get('reason')}": row.get("ms") for row in listed}
