"""The order of runs: bare, one configuration, bare, the next configuration, bare, ..."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from agent.overhead.stats import SEED


@dataclass(frozen=True, slots=True)
class Schedule:
    """The number of rounds. Warm-up rounds are run first and discarded."""

    rounds: int
    warmup: int = 1
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the workload, bare if ``configuration`` is None. Warm-up rounds are negative."""

    round: int
    configuration: str | None

    @property
    def counts(self) -> bool:
        return self.round >= 0

    @property
    def round_text(self) -> str:
        return f"round {self.round + 1}" if self.counts else "the warm-up"

    @property
    def text(self) -> str:
        """Return the round and the configuration: "round 3, with runqlat"."""
        attached = f"with {self.configuration}" if self.configuration else "bare"
        return f"{self.round_text}, {attached}"


def interleave(configurations: Sequence[str], schedule: Schedule) -> Iterator[Step]:
    """Yield each configuration once per round, between two bare runs, in random order.

    The bare run after one configuration is also the one before the next. The order changes from
    round to round so that no configuration always follows the same one and inherits its caches.
    """
    random = Random(schedule.seed)
    for number in range(-schedule.warmup, schedule.rounds):
        order = list(configurations)
        random.shuffle(order)
        yield Step(number, None)
        for configuration in order:
            yield Step(number, configuration)
            yield Step(number, None)
