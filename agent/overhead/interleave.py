"""The order in which things are run: bare, one configuration, bare, the next one, bare, ..."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from agent.overhead.stats import SEED


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often to go round; warm-up rounds are run and thrown away."""

    rounds: int
    warmup: int = 1
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the workload: bare when ``configuration`` is None. Warm-ups have rounds < 0."""

    round: int
    configuration: str | None

    @property
    def counts(self) -> bool:
        return self.round >= 0


def interleave(configurations: Sequence[str], schedule: Schedule) -> Iterator[Step]:
    """Every configuration once a round between two bare runs, in an order of its own each round.

    The bare run after one configuration is the one before the next. The order changes so that no
    configuration always follows the same neighbour and inherits its caches.
    """
    random = Random(schedule.seed)
    for number in range(-schedule.warmup, schedule.rounds):
        order = list(configurations)
        random.shuffle(order)
        yield Step(number, None)
        for configuration in order:
            yield Step(number, configuration)
            yield Step(number, None)
