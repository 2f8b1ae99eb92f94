"""Immutable results, which convert to and from JSON and merge only if comparable."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from agent.overhead.machine import Machine
from agent.overhead.protocols import Missing
from agent.overhead.stats import median_estimate, noise_floor, overhead_ratio, slowdown
from agent.statistics.estimate import Estimate

SCHEMA = 1
NOTHING = "nothing"


class Incomparable(Exception):
    """Raised for results that must not be merged; the message names the difference."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One configuration in one round: seconds per operation bare, armed, bare."""

    round: int
    before: float
    armed: float
    after: float

    @property
    def slowdown(self) -> float:
        return slowdown(self.before, self.armed, self.after)


@dataclass(frozen=True, slots=True)
class Measured:
    """All pairs of one configuration, with remarks for the reader."""

    name: str
    label: str
    pairs: tuple[Pair, ...]
    remarks: tuple[str, ...] = ()

    def by_round(self) -> dict[int, float]:
        return {pair.round: pair.slowdown for pair in self.pairs}

    def estimate(self) -> Estimate:
        return median_estimate([pair.slowdown for pair in self.pairs])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        pairs = tuple(Pair(**pair) for pair in data["pairs"])
        return cls(data["name"], data["label"], pairs, tuple(data["remarks"]))


@dataclass(frozen=True, slots=True)
class WorkloadResult:
    """One workload under each configuration that worked; ``skipped`` has the others' reasons.

    ``ended`` says why the measurement ended before its last run; it is empty if it did not.
    """

    name: str
    operation: str
    cpus: tuple[int, ...] | None
    measured: tuple[Measured, ...]
    skipped: Mapping[str, Missing]
    ended: str = ""

    def configuration(self, name: str) -> Measured | None:
        return next((measured for measured in self.measured if measured.name == name), None)

    def noise_floor(self) -> float | None:
        """Return the noise floor from the A/A pairs, or None if there are too few for one."""
        nothing = self.configuration(NOTHING)
        floor = noise_floor([pair.slowdown for pair in nothing.pairs]) if nothing else math.inf
        return floor if math.isfinite(floor) else None

    def bare_seconds(self) -> float | None:
        """Return the median seconds per operation with nothing attached."""
        bare = [pair.before for measured in self.measured for pair in measured.pairs]
        return median_estimate(bare).middle if bare else None

    def ratio(self, numerator: str, denominator: str) -> Estimate | None:
        """Return the ratio of two configurations' overheads, or None unless both were measured."""
        over, under = self.configuration(numerator), self.configuration(denominator)
        return overhead_ratio(over.by_round(), under.by_round()) if over and under else None

    def shared_rounds(self, one: str, other: str) -> int:
        """Return the number of rounds in which both configurations were measured."""
        first, second = self.configuration(one), self.configuration(other)
        return len(first.by_round().keys() & second.by_round().keys()) if first and second else 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            name=data["name"],
            operation=data["operation"],
            cpus=None if data["cpus"] is None else tuple(data["cpus"]),
            measured=tuple(Measured.from_json(item) for item in data["measured"]),
            skipped=_missing_from_json(data["skipped"]),
            ended=data.get("ended", ""),  # results of earlier versions have none
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One session on one machine. ``started`` is in ISO 8601; loads are 1-minute averages.

    ``commit`` is that of the checkout that was measured; empty if there was none, or before this
    was recorded.
    """

    machine: Machine
    started: str
    seconds: float
    load_before: float
    load_after: float
    workloads: tuple[WorkloadResult, ...]
    skipped: Mapping[str, Missing]
    commit: str = ""

    def workload(self, name: str) -> WorkloadResult | None:
        return next((workload for workload in self.workloads if workload.name == name), None)

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises `Incomparable` for another schema."""
        if data.get("schema") != SCHEMA:
            raise Incomparable(f"result has schema {data.get('schema')}, expected {SCHEMA}")
        return cls(
            machine=Machine.from_json(data["machine"]),
            started=data["started"],
            seconds=data["seconds"],
            load_before=data["load_before"],
            load_after=data["load_after"],
            workloads=tuple(WorkloadResult.from_json(item) for item in data["workloads"]),
            skipped=_missing_from_json(data["skipped"]),
            commit=data.get("commit", ""),
        )


def merge(first: Result, second: Result) -> Result:
    """Combine two results, joining the pairs of the same workload and configuration.

    Raises `Incomparable` if they come from different machines, software or commits: a median over
    both would describe neither.
    """
    differences = first.machine.differences(second.machine)
    if differences:
        raise Incomparable("results from different machines cannot be merged: " + differences)
    if first.commit != second.commit:
        raise Incomparable(
            "results from different commits cannot be merged: "
            + " / ".join(result.commit or "not recorded" for result in (first, second))
        )
    return replace(
        first,
        seconds=first.seconds + second.seconds,
        load_after=second.load_after,
        workloads=_merge_workloads(first, second),
        skipped={
            name: missing
            for name, missing in {**second.skipped, **first.skipped}.items()
            if not (first.workload(name) or second.workload(name))
        },
    )


def _merge_workloads(first: Result, second: Result) -> tuple[WorkloadResult, ...]:
    merged = [
        merge_workload(mine, theirs) if (theirs := second.workload(mine.name)) else mine
        for mine in first.workloads
    ]
    merged += [theirs for theirs in second.workloads if not first.workload(theirs.name)]
    return tuple(merged)


def merge_workload(mine: WorkloadResult, theirs: WorkloadResult) -> WorkloadResult:
    """Join the pairs of two measurements of one workload. Raises `Incomparable`."""
    if (mine.operation, mine.cpus) != (theirs.operation, theirs.cpus):
        raise Incomparable(f"{mine.name} was run on different CPUs or in different units")
    # Keep rounds distinct: the bootstrap resamples all configurations of a round jointly.
    offset = 1 + max((p.round for m in mine.measured for p in m.pairs), default=-1)
    shifted = [_shift(measured, offset) for measured in theirs.measured]
    by_name = {measured.name: measured for measured in shifted}
    joined = [_join(measured, by_name.pop(measured.name, None)) for measured in mine.measured]
    joined += [measured for measured in shifted if measured.name in by_name]
    names = {measured.name for measured in joined}
    skipped = {n: m for n, m in {**theirs.skipped, **mine.skipped}.items() if n not in names}
    ended = "; ".join(filter(None, [mine.ended, theirs.ended]))
    return replace(mine, measured=tuple(joined), skipped=skipped, ended=ended)


def _shift(measured: Measured, offset: int) -> Measured:
    pairs = tuple(replace(pair, round=pair.round + offset) for pair in measured.pairs)
    return replace(measured, pairs=pairs)


def _join(first: Measured, second: Measured | None) -> Measured:
    if second is None:
        return first
    remarks = tuple(dict.fromkeys(first.remarks + second.remarks))
    return replace(first, pairs=first.pairs + second.pairs, remarks=remarks)


def _missing_from_json(data: Mapping[str, Any]) -> dict[str, Missing]:
    return {name: Missing(**missing) for name, missing in data.items()}
