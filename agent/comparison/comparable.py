"""What keeps runs from being compared: they are incomplete, or were not measured alike.

Every reason says what it is about, why, and what would allow the comparison.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from agent.comparison.values import mapping
from agent.nouns import counted
from agent.store.run import ABORTED, PARTIAL, KeptRun
from agent.terminal.evidence import verdict
from agent.words import Json

BASELINE, OPTIMIZED = "baseline", "optimized"
ACROSS = ("kernel", "machine")
"""What may differ on purpose, between the sides and not within one."""
FEW = 3
FORCE = "--force compares them all the same, and marks the result"


class Refusal(NamedTuple):
    """One reason: ``what`` it is about, ``why`` in words, and the ``cure``."""

    what: str
    why: str
    cure: str

    def to_json(self) -> Json:
        return self._asdict()


class NotComparable(Exception):
    """Runs that are not compared, with every reason for that."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(refusal.why for refusal in refusals))
        self.refusals = tuple(refusals)


class NoRunCounts(NotComparable):
    """All runs of a side failed or were interrupted."""


Sides = Mapping[str, Sequence[KeptRun]]
"""The runs of baseline and of optimized."""


class Fact(NamedTuple):
    """Something that is to be the same in all runs: ``of`` returns None where it is not known."""

    name: str
    words: str
    of: Callable[[KeptRun], str | None]
    across: str | None = None
    """By which name it may differ on purpose."""
    cure: str = "choose runs that were measured alike"


def _manifest(field: str) -> Callable[[KeptRun], str | None]:
    return lambda run: _text(mapping(run.evidence.get("manifest")).get(field))


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _scope(run: KeptRun) -> str | None:
    return _text(mapping(run.evidence.get("scope")).get("kind"))


def _waking(run: KeptRun) -> str | None:
    """Return where a wake-up becomes a wait in the wall time; None without one."""
    wall = mapping(run.evidence.get("wall"))
    if wall.get("available") is not True:
        return None
    return "without" if wall.get("waking_ms") is None else "with"


def _is_synthetic(run: KeptRun) -> str:
    is_mock = run.evidence.get("mock") is True or run.labels.get("machine") == "mock"
    return "mock" if is_mock else "real"


FACTS = (
    Fact(
        "machine", "on different machines", lambda run: _text(run.labels.get("machine")), "machine"
    ),
    Fact("cpus", "with different numbers of CPUs", _manifest("cpus"), "machine"),
    Fact("kernel", "on different kernels", _manifest("kernel"), "kernel"),
    Fact("scope", "of different scopes", _scope),
    Fact("timing", "by different clocks (timing)", _manifest("timing")),
    Fact("transport", "by different transports", _manifest("transport")),
    Fact(
        "waking",
        "partly with the detail waking, which counts blocked time as waiting",
        _waking,
        cure="measure both sides with --details waking, as run does for two commands, or neither",
    ),
    Fact("mock", "partly of synthetic events (--mock)", _is_synthetic),
)


def refusals(sides: Sides, across: Collection[str]) -> list[Refusal]:
    """Return every reason not to compare these runs; ``across`` has what differs on purpose."""
    runs = [run for side in sides.values() for run in side]
    found = [
        *_incomplete(runs),
        *(_mixed(side, of_side) for side, of_side in sides.items()),
        *(_differs(fact, sides, across) for fact in FACTS),
    ]
    return [refusal for refusal in found if refusal is not None]


def known_facts(sides: Sides) -> Json:
    """Return the values of each fact, by side: the empty list where it is not known."""
    return {
        fact.name: {side: sorted(_values(fact, runs)) for side, runs in sides.items()}
        for fact in FACTS
    }


def _incomplete(runs: Sequence[KeptRun]) -> list[Refusal]:
    partial = [run for run in runs if run.state == PARTIAL]
    invalid = [run for run in runs if verdict(run.evidence) == "invalid"]
    kinds = (
        (partial, "is partial: the agent ended before the run did", "state=finished"),
        (invalid, "is invalid", "verdict=complete"),
    )
    return [
        Refusal(
            "evidence",
            f"the evidence of {_ids(listed)} {words}",
            f"leave out what is, by its id or with {others} next to the labels; {FORCE}",
        )
        for listed, words, others in kinds
        if listed
    ]


def _mixed(side: str, runs: Sequence[KeptRun]) -> Refusal | None:
    """Return that a side has runs of several commands: labels may gather what nobody meant."""
    listed = (run.command.get("arguments") for run in runs)
    commands = Counter(shlex.join(map(str, words)) for words in listed if isinstance(words, list))
    if len(commands) < 2:
        return None
    shown = ", ".join(f"{line} ({size})" for line, size in commands.most_common(FEW))
    more = f" and {len(commands) - FEW} more" if len(commands) > FEW else ""
    return Refusal(
        "command",
        f"the runs of {side} are of {len(commands)} commands: {shown}{more}",
        f"choose those of one, by a label that only it has, or by ids; {FORCE}",
    )


def why_not_counted(run: KeptRun) -> str:
    """Return why a run does not count, as far as what is kept of it says so."""
    status = run.command.get("exit_status")
    if signal := run.command.get("signal"):
        return f"it was killed by {signal}"
    if status:
        return f"it exited with status {status}"
    return "it was interrupted" if run.state == ABORTED else "it failed or was interrupted"


def not_counted(runs: Sequence[KeptRun]) -> str:
    """Return which of the runs do not count, and why, in parentheses; nothing if all count."""
    by_why: defaultdict[str, list[KeptRun]] = defaultdict(list)
    for run in runs:
        if not run.counts:
            by_why[why_not_counted(run)].append(run)
    said = "; ".join(f"{_ids(those)}: {why}" for why, those in by_why.items())
    return f" ({said})" if said else ""


def _ids(runs: Sequence[KeptRun]) -> str:
    shown = ", ".join(run.id for run in runs[:FEW])
    more = f" and {len(runs) - FEW} more" if len(runs) > FEW else ""
    return f"{'run' if len(runs) == 1 else 'runs'} {shown}{more}"


def _runs(number: int) -> str:
    return counted(number, "run")


def _differs(fact: Fact, sides: Sides, across: Collection[str]) -> Refusal | None:
    by_side = {side: _values(fact, runs) for side, runs in sides.items()}
    everywhere = {value for values in by_side.values() for value in values}
    is_mixed = any(len(values) > 1 for values in by_side.values())
    on_purpose = fact.across in across and not is_mixed
    if len(everywhere) <= 1 or on_purpose:
        return None
    told = "; ".join(
        f"{side}: {', '.join(f'{value} ({_runs(n)})' for value, n in values.items())}"
        for side, values in by_side.items()
    )
    if fact.across is None or is_mixed:
        cure = f"{fact.cure}; {FORCE}"
    else:
        cure = f"if that is what is compared: --across {fact.across}; {FORCE}"
    return Refusal(fact.name, f"the runs were measured {fact.words} ({told})", cure)


def _values(fact: Fact, runs: Sequence[KeptRun]) -> dict[str, int]:
    """Return how many runs have which value, of those of which it is known."""
    found: defaultdict[str, int] = defaultdict(int)
    for run in runs:
        if (value := fact.of(run)) is not None:
            found[value] += 1
    return dict(sorted(found.items()))
