"""``python -m benchmarks compare-power``: how often comparisons decide, rightly and wrongly.

Real runs of one command, made by ``chainbench-agent run`` as both sides of a comparison:

* cut into comparisons of ten pairs, which share no run: whatever is conclusive is wrong;
* ten runs of one side with the next ten of it, one block after the other: how often that is wrong
  is no fault of the arithmetic, and why runs should take turns;
* with ten of their run times drawn for each side, brought to a variation of 1 %, and one side made
  2 % quicker: whatever is not conclusive was missed;
* with other work on every CPU during the second half of a series only.
"""

import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from agent.client.children import foreign_child
from agent.client.interpreter import own_module
from agent.client.spawn import RunningAgent
from agent.comparison.comparable import NotComparable
from agent.comparison.kept import Asked, compare_groups
from agent.overhead.protocols import WorkloadFailed
from agent.statistics.comparison import outcome, relative_shift
from agent.statistics.groups import relative_shift_of_groups
from agent.store.documents import runs_of
from agent.store.run import IMPORT, KeptRun
from agent.words import Json

PAIRS = 10
COMPARISONS = 200
PAIRS_OF_A_SERIES = 100
SIMULATED = 1000
SPREAD, EFFECT, MIN_EFFECT = 0.01, 0.02, 0.01
LOADED_SERIES, LOADED_PAIRS, MOST_LOADED = 20, 20, 3
NORMAL = 1.4826
"""Median absolute deviations in a standard deviation, if values are normally distributed."""
PATIENCE_S = 300.0
FILE_BYTES = 400_000
"""Compressing them takes about 10 ms."""


@dataclass(frozen=True, slots=True)
class Equals:
    """Comparisons of equal commands, by how they were compared, and which were conclusive.

    ``figures``: of how many another figure than the wall time was said to differ. ``refused`` are
    not among them: something else changed meanwhile, the number of CPUs for example.
    """

    comparisons: int
    conclusive: int
    beyond_min_effect: int
    figures: int
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Power:
    """How many of so many simulated comparisons found the difference.

    ``spread_pct`` is that of the real run times, by the same measure that was brought to 1 %.
    """

    comparisons: int
    found_as_pairs: int
    found_as_groups: int
    spread_pct: float


@dataclass(frozen=True, slots=True)
class Report:
    wall_ms: float
    pairs: Equals
    groups: Equals
    sequential: Equals
    power: Power
    """By the standard deviation."""
    power_with_tails: Power
    """By the median absolute deviation: outliers stay as far out as they were."""
    loaded: Sequence[Mapping[str, Any]]

    def to_json(self) -> Json:
        return asdict(self)


Series = tuple[list[KeptRun], list[KeptRun]]
"""The runs of both sides of a series, round by round."""


def measure_power(agent: RunningAgent, comparisons: int) -> Report:
    """Make the runs and compare them. Raises `WorkloadFailed`."""
    with tempfile.TemporaryDirectory() as folder:
        command = _command(Path(folder))
        equals = []
        for number in range(math.ceil(comparisons * PAIRS / PAIRS_OF_A_SERIES)):
            equals.append(_series(agent, command, PAIRS_OF_A_SERIES, seed=number))
            print(f"series {number + 1} of {PAIRS_OF_A_SERIES} pairs", file=sys.stderr)
        blocks = [block for one in equals for block in _blocks(one)][:comparisons]
        loaded = [
            _under_load(agent, command, Path(folder), number) for number in range(LOADED_SERIES)
        ]
    times = [[run.wall_ms for run in side if run.wall_ms] for one in equals for side in one]
    return Report(
        wall_ms=median(ms for side in times for ms in side),
        pairs=_equals(blocks),
        groups=_equals([_apart(block) for block in blocks]),
        sequential=_equals([block for one in equals for block in _one_after_the_other(one)]),
        power=_power(times, statistics.pstdev),
        power_with_tails=_power(times, _typical),
        loaded=[one for one in loaded if one is not None],
    )


def _command(folder: Path) -> str:
    file = folder / "text"
    words = random.Random(1).choices([f"word{n}" for n in range(5000)], k=FILE_BYTES // 9)
    file.write_text(" ".join(words))
    return f"gzip -6 -c {file}"


def _series(agent: RunningAgent, command: str, pairs: int, seed: int, *more: str) -> Series:
    """Compare a command with itself, and return the runs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "series.json")
        options = ["--agent", agent.url, "--runs", str(pairs), "--seed", str(seed), "--warmup", "1"]
        options += [
            "--baseline",
            command,
            "--optimized",
            command,
            "--json",
            str(file),
            "--quiet",
            "--no-store",
        ]
        ours = own_module("agent", "run", *options, *more)
        with foreign_child(
            ours.command, env=ours.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                said = process.communicate(timeout=PATIENCE_S)[1].decode(errors="replace")
            except subprocess.TimeoutExpired as error:
                raise WorkloadFailed(f"a series took more than {PATIENCE_S:g} s") from error
        if process.returncode != 0:
            raise WorkloadFailed(f"run ended with {process.returncode}: {said.strip()}")
        runs = runs_of(json.loads(file.read_text()), IMPORT)
    before, after = ([run for run in runs if run.side == s] for s in ("baseline", "optimized"))
    return before, after


def _blocks(series: Series) -> Iterator[Series]:
    """Cut a series into comparisons of ten pairs each."""
    before, after = series
    for first in range(0, len(before) - PAIRS + 1, PAIRS):
        yield before[first : first + PAIRS], after[first : first + PAIRS]


def _one_after_the_other(series: Series) -> Iterator[Series]:
    """Cut each side of a series into comparisons of ten runs with the ten that follow."""
    for side in _apart(series):
        for first in range(0, len(side) - 2 * PAIRS + 1, 2 * PAIRS):
            yield side[first : first + PAIRS], side[first + PAIRS : first + 2 * PAIRS]


def _apart(series: Series) -> Series:
    """Return the same runs without what makes them pairs."""
    before, after = ([replace(run, series=None) for run in side] for side in series)
    return before, after


def _equals(blocks: Sequence[Series]) -> Equals:
    tried = [_compared(block) for block in blocks]
    found = [one for one in tried if one is not None]
    conclusive = [one for one in found if one["conclusive"]]
    return Equals(
        comparisons=len(found),
        conclusive=len(conclusive),
        beyond_min_effect=sum(
            abs(one["change_pct"]["middle"]) > 100 * MIN_EFFECT for one in conclusive
        ),
        figures=sum(bool(one["changed"]) for one in found),
        refused=len(tried) - len(found),
    )


def _compared(block: Series) -> Json | None:
    """Compare equals, whatever matters; return None if that is refused."""
    try:
        found: Json = compare_groups(*block, Asked(min_effect=0.0))["comparison"]
    except NotComparable as error:
        print(f"not compared: {error}", file=sys.stderr)
        return None
    return found


def _typical(rests: Sequence[float]) -> float:
    return NORMAL * statistics.median(map(abs, rests))


def _power(
    times: Sequence[Sequence[float]], spread_of: Callable[[Sequence[float]], float]
) -> Power:
    """Simulate comparisons from what real run times differ from the median of their series."""
    rests = [math.log(ms / median(side)) for side in times for ms in side]
    spread = spread_of(rests)
    drawn, found = random.Random(1), Counter[str]()
    for _ in range(SIMULATED):
        sides = [
            [math.exp(rest * SPREAD / spread) for rest in drawn.choices(rests, k=PAIRS)]
            for _ in range(2)
        ]
        quicker = [(1 - EFFECT) * value for value in sides[1]]
        for name, of in (("pairs", relative_shift), ("groups", relative_shift_of_groups)):
            found[name] += outcome(of(sides[0], quicker), MIN_EFFECT) == "smaller"
    return Power(SIMULATED, found["pairs"], found["groups"], 100 * spread)


def _under_load(agent: RunningAgent, command: str, folder: Path, seed: int) -> Json | None:
    """Compare a command with itself while other work begins after half of the runs.

    None if that is refused.
    """
    count = folder / f"runs-{seed}"
    count.write_bytes(b"")
    # a byte for each run that is prepared: two of these warm up
    prepare = f"sh -c 'printf x >> {count}'"
    with _load_from(count, 2 + LOADED_PAIRS):
        before, after = _series(agent, command, LOADED_PAIRS, seed, "--prepare", prepare)
    half = LOADED_PAIRS // 2
    found, in_blocks = _compared((before, after)), _compared((before[:half], after[half:]))
    if found is None or in_blocks is None:
        return None
    return {
        "outcome": found["outcome"],
        "conclusive": found["conclusive"],
        "because": found["inconclusive_because"],
        "drift_pct_per_run": found["drift"]["pct_per_run"]["middle"],
        "drift_is_certain": found["drift"]["is_certain"],
        "change_pct": found["change_pct"]["middle"],
        "blocks": in_blocks["method"],
        "order_of_blocks": in_blocks["order"],
    }


@contextmanager
def _load_from(count: Path, runs: int) -> Iterator[None]:
    """Keep every CPU busy, twice, once a file has so many bytes, until the end of the block."""
    cpus = len(os.sched_getaffinity(0))
    script = (
        "import os, sys, time\n"
        "while os.path.getsize(sys.argv[1]) < int(sys.argv[2]): time.sleep(0.02)\n"
        "while True: pass\n"
    )
    command = [sys.executable, "-Ic", script, str(count), str(runs)]
    with ExitStack() as ending:
        for _ in range(2 * cpus):
            load = ending.enter_context(subprocess.Popen(command))
            ending.callback(load.kill)  # before it is waited for
        time.sleep(0.5)  # they have been started before the first run
        yield


def render(report: Report) -> str:
    """Return the report as text."""
    lines = [f"equal commands of {report.wall_ms:.1f} ms, {PAIRS} runs of each side:"]
    lines += [
        f"  as {name}: {one.conclusive} of {one.comparisons} conclusive,"
        f" {one.beyond_min_effect} of these by more than {MIN_EFFECT:.0%};"
        f" in {one.figures} another figure differed"
        + (f"; {one.refused} refused" if one.refused else "")
        for name, one in (
            ("pairs", report.pairs),
            ("groups of the same runs", report.groups),
            ("sequential blocks", report.sequential),
        )
    ]
    lines.append(f"{EFFECT:.0%} quicker, {PAIRS} runs of each side drawn from these run times:")
    lines += [
        f"  {SPREAD:.0%} {words} (of the real ones: {power.spread_pct:.1f} %): found in"
        f" {power.found_as_pairs} of {power.comparisons} as pairs,"
        f" {power.found_as_groups} as groups"
        for words, power in (
            ("standard deviation", report.power),
            ("typical deviation", report.power_with_tails),
        )
    ]
    loaded = report.loaded
    lines += [
        f"load during the second half of {len(loaded)} series of equal commands:",
        f"  {sum(one['conclusive'] for one in loaded)} conclusive,"
        f" a drift in {sum(one['drift_is_certain'] for one in loaded)};"
        f" the first half of one side against the second of the other:"
        f" {', '.join(sorted({one['blocks'] for one in loaded})) or 'none'}",
    ]
    return "\n".join(lines) + "\n"


def is_met(report: Report) -> bool:
    """Whether what is known to hold does.

    At most 9 % of equals are conclusive; 9 of 10 differences are found at a standard deviation of
    1 %; under load, no more are conclusive than chance allows in one of fifty such reports, a drift
    is seen in most, and no blocks are pairs.
    """
    most = 0.09 * report.pairs.comparisons
    loaded = report.loaded
    return (
        max(report.pairs.conclusive, report.groups.conclusive) <= most
        and report.power.found_as_pairs >= 0.9 * report.power.comparisons
        and bool(loaded)
        and sum(one["conclusive"] for one in loaded) <= MOST_LOADED
        and sum(one["drift_is_certain"] for one in loaded) >= 0.9 * len(loaded)
        and all(one["blocks"] == "groups" for one in loaded)
    )
