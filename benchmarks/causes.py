"""``python -m benchmarks causes``: how often the first sentence names the right cause.

Two programs of which one takes longer by one known thing (cause_pairs.py) are compared by
``chainbench-agent run --baseline A --optimized B``, again and again. The sentence names the right
cause, another one, or none. A difference below twice the smallest that would probably be found has
no cause, so "none" is right then; such comparisons are counted apart.
"""

import json
import shlex
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from agent.client.children import foreign_child
from agent.client.interpreter import Invocation, own_module
from agent.client.spawn import RunningAgent
from agent.exit_status import how_it_ended
from agent.overhead.interleave import Step
from agent.overhead.protocols import Missing, WorkloadFailed
from agent.overhead.rounds import OnProgress, Progress
from benchmarks.cause_pairs import PAIRS, Commands, Pair
from benchmarks.cause_surroundings import member_of

COMPARISONS, QUICK_COMPARISONS = 20, 3
RUNS = 10
"""Pairs of runs in each comparison."""
ONE_FAILURE_IN = 20
"""Once in this many comparisons the first sentence may be another one."""
TOO_SMALL = "too small"
NONE = "none"
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the first sentence says of a pair. Times are in ms."""

    name: str | None
    why_none: str | None
    difference_ms: float
    detectable_ms: float | None
    said: str


@dataclass(frozen=True, slots=True)
class Row:
    """The comparisons of one pair of programs."""

    pair: str
    label: str
    cause: str | None
    comparisons: tuple[Comparison, ...] = ()
    commit: str = ""

    @property
    def too_small(self) -> int:
        """Comparisons without a cause since the difference is below twice the detectable one.

        For equal programs these are right.
        """
        if self.cause is None:
            return 0
        return sum(one.why_none == TOO_SMALL for one in self.comparisons)

    @property
    def judged(self) -> int:
        return len(self.comparisons) - self.too_small

    @property
    def right(self) -> int:
        return sum(one.name == self.cause for one in self.comparisons)

    @property
    def wrong(self) -> Counter[str]:
        """Other causes that were named, by how often."""
        return Counter(one.name for one in self.comparisons if one.name not in (None, self.cause))

    @property
    def none(self) -> Counter[str]:
        """Why none was named though there is one, by how often."""
        if self.cause is None:
            return Counter()
        return Counter(
            one.why_none for one in self.comparisons if one.why_none not in (None, TOO_SMALL)
        )

    @property
    def difference_ms(self) -> float:
        return median(one.difference_ms for one in self.comparisons)

    @property
    def detectable_ms(self) -> float | None:
        known = [one.detectable_ms for one in self.comparisons if one.detectable_ms is not None]
        return median(known) if known else None

    @property
    def is_met(self) -> bool:
        """Whether at least 19 of 20 are right, or all of fewer."""
        return self.judged > 0 and (self.judged - self.right) * ONE_FAILURE_IN <= self.judged


@dataclass(frozen=True, slots=True)
class Rates:
    """All rows so far, and the pairs that could not be compared."""

    rows: tuple[Row, ...] = ()
    missing: Mapping[str, Missing] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rates":
        rows = [
            Row(**{**row, "comparisons": tuple(Comparison(**one) for one in row["comparisons"])})
            for row in data["rows"]
        ]
        return cls(tuple(rows), {name: Missing(**why) for name, why in data["missing"].items()})

    def with_row(self, row: Row) -> "Rates":
        """Return these with a row in place of the last one of its pair."""
        return self._ordered(
            {**{one.pair: one for one in self.rows}, row.pair: row}, self.missing, row.pair
        )

    def without(self, name: str, why: Missing) -> "Rates":
        rows = {one.pair: one for one in self.rows if one.pair != name}
        return self._ordered(rows, {**self.missing, name: why}, "")

    @staticmethod
    def _ordered(rows: Mapping[str, Row], missing: Mapping[str, Missing], measured: str) -> "Rates":
        known = [pair.name for pair in PAIRS]
        return Rates(
            tuple(rows[name] for name in known if name in rows),
            {name: missing[name] for name in known if name in missing and name != measured},
        )


def compared(agent: RunningAgent, commands: Commands) -> Comparison:
    """Compare two commands. Raises `WorkloadFailed`."""
    shorter, longer = map(shlex.join, (commands.shorter, commands.longer))
    with tempfile.TemporaryDirectory(prefix="chainbench-causes-") as folder:
        file = Path(folder, "result.json")
        options = ["--agent", agent.url, "--runs", str(RUNS), "--warmup", "1", "--json", str(file)]
        sides = ["--no-store", "--baseline", shorter, "--optimized", longer]
        said = _run(own_module("agent", "run", *options, *sides), commands.group)
        found: dict[str, Any] = json.loads(file.read_text())["comparison"]["cause"]
    return Comparison(
        found["name"],
        found["why_none"],
        found["difference_ms"]["middle"],
        found["detectable_ms"],
        said,
    )


def _run(ours: Invocation, group: Path | None) -> str:
    """Run our command line and return its first paragraph. Raises `WorkloadFailed`."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    command = member_of(group, ours.command) if group else ours.command
    with foreign_child(command, env=ours.environment, **streams) as process:
        try:
            said = process.communicate(timeout=PATIENCE_S)[1].decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            raise WorkloadFailed(f"a comparison took more than {PATIENCE_S:g} s") from error
    if process.returncode != 0:
        last = said.strip().rpartition("\n")[2]
        raise WorkloadFailed(f"run {how_it_ended(process.returncode)}: {last}")
    return " ".join(said.partition("\n\n")[0].split())


def measure_causes(
    agent: RunningAgent,
    chosen: Sequence[Pair],
    comparisons: int,
    commit: str,
    progress: OnProgress,
    tell: Callable[[str], None],
    keep: Callable[[Row | tuple[str, Missing]], None],
) -> None:
    """Compare each of the pairs that many times; call ``keep`` once for each."""
    clock = _Clock(len(chosen) * comparisons, progress)
    for pair in chosen:
        why = pair.check()
        if why is None:
            try:
                keep(_row(agent, pair, comparisons, commit, clock, tell))
                continue
            except WorkloadFailed as error:
                why = Missing(str(error))
        clock.skip_to_next(comparisons)
        keep((pair.name, why))


class _Clock:
    """The comparisons so far, and the time that is left."""

    def __init__(self, total: int, progress: OnProgress) -> None:
        self._began = time.monotonic()
        self._total = total
        self._made = self._skipped = 0
        self._progress = progress

    def made_one(self, pair: Pair) -> None:
        self._made += 1
        done = self._made + self._skipped
        each = (time.monotonic() - self._began) / self._made
        left = each * (self._total - done)
        step = Step(done, pair.cause or NONE)
        self._progress(Progress(pair.name, step, done, self._total, left))

    def skip_to_next(self, comparisons: int) -> None:
        """Count those of this pair as done that will not be made."""
        self._skipped += -(self._made + self._skipped) % comparisons or comparisons


def _row(
    agent: RunningAgent,
    pair: Pair,
    comparisons: int,
    commit: str,
    clock: _Clock,
    tell: Callable[[str], None],
) -> Row:
    found = []
    with pair.commands() as commands:
        for _ in range(comparisons):
            one = compared(agent, commands)
            found.append(one)
            clock.made_one(pair)
            if one.name != pair.cause:
                tell(f"{pair.name}: not {pair.cause or NONE}: {one.said}")
    return Row(pair.name, pair.label, pair.cause, tuple(found), commit)
