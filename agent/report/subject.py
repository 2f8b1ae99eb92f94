"""What a report is about: the runs of one command, or of two, however they were saved.

The document may come from any version of the agent, and from anyone, as evidence may.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from agent.report.numbers import amount_of
from agent.show.series import is_series
from agent.terminal.evidence import verdict
from agent.terminal.values import mapping, number, printable, rows

COMMAND, BASELINE, OPTIMIZED = "command", "baseline", "optimized"
SIDES = (COMMAND, BASELINE, OPTIMIZED)
LONGEST_REASON = 160
MOST_ROUNDS = 10**6


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """One run. ``number`` is that of its round, from 1."""

    number: int
    counts: bool
    wall_ms: float | None
    """Of the command, or else of the budget in the evidence; None if neither is known."""
    command: Mapping[str, Any]
    evidence: Mapping[str, Any]

    def lacks(self, section: str) -> str | None:
        """Return why this run has no such section that can be relied on; None if it has one."""
        if self.evidence.get("available") is not True:
            return printable(self.evidence.get("reason") or "no evidence", LONGEST_REASON)
        if verdict(self.evidence) == "invalid":
            return "the evidence is invalid"
        if isinstance(self.evidence.get(section), dict):
            return None
        why = mapping(self.evidence.get("unavailable")).get(section)
        return printable(why, LONGEST_REASON) if why else "not among the sections of the run"


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The runs of one command, in the order of their rounds."""

    name: str
    runs: Sequence[Observed]
    described: Mapping[str, Any]
    """What the document says of all of them; empty for a single run."""

    @property
    def counted(self) -> list[Observed]:
        return [run for run in self.runs if run.counts]

    def missing(self, lacks: Callable[[Observed], str | None]) -> str:
        """Return in how many of the runs that count something is missing, and why; or ""."""
        counted = self.counted
        why = [reason for run in counted if (reason := lacks(run))]
        if not counted:
            return "no run counts"
        if not why:
            return ""
        which = "" if len(counted) == 1 else f"in {len(why)} of {len(counted)} runs: "
        others = len(set(why)) - 1
        return f"{which}{why[0]}{f', and {others} other reasons' if others else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One run, or the runs of one or two commands, and the document that they come from."""

    sides: Sequence[Side]
    document: Mapping[str, Any]

    @property
    def is_series(self) -> bool:
        return is_series(self.document)

    @property
    def comparison(self) -> Mapping[str, Any]:
        return mapping(self.document.get("comparison"))

    @property
    def plan(self) -> Mapping[str, Any]:
        return mapping(self.document.get("series"))

    @property
    def is_paired(self) -> bool:
        """Whether both sides ran in turn: ``pairs`` is the number of complete rounds."""
        return len(self.sides) > 1 and number(self.comparison.get("pairs")) is not None


def subject_of(document: Mapping[str, Any]) -> Subject:
    """Return the runs in a document: evidence of one run, a series, or a comparison."""
    if not is_series(document):
        run = {**document, "evidence": document, "counts": True}
        return Subject([Side(COMMAND, [_observed(run, 1)], {})], document)
    listed = rows(document.get("runs"))
    described = mapping(document.get("sides"))
    planned = mapping(mapping(document.get("series")).get("commands"))
    return Subject(
        [
            Side(name, runs, mapping(described.get(name)))
            for name in SIDES
            if (runs := _runs(listed, name)) or name in described or name in planned
        ],
        document,
    )


def _runs(listed: Sequence[Mapping[str, Any]], side: str) -> list[Observed]:
    own = [run for run in listed if run.get("side") == side]
    return [_observed(run, place) for place, run in enumerate(own, 1)]


def _observed(run: Mapping[str, Any], place: int) -> Observed:
    command, evidence = mapping(run.get("command")), mapping(run.get("evidence"))
    of_budget = mapping(evidence.get("wall")).get("wall_ms")
    times = (run.get("wall_ms"), command.get("wall_ms"), of_budget)
    round_of = run.get("round")
    return Observed(
        number=round_of if _is_round(round_of) else place,
        counts=run.get("counts") is True,
        wall_ms=next((known for time in times if (known := amount_of(time)) is not None), None),
        command=command,
        evidence=evidence,
    )


def _is_round(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_ROUNDS
