"""Synthetic softirqs."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from agent.mock.cycles import CHUNK
from agent.sections.softirq.layout import SOFTIRQ_VECTOR_BITS, VECTORS, vector_name
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import LATENCY_BITS

GAP_NS = 1_000_000
"""Average time between two softirqs."""
SHARES = {"timer": 0.45, "sched": 0.25, "rcu": 0.20, "block": 0.06, "net_rx": 0.04}


class Softirqs:
    """Softirqs at random; each takes some microseconds."""

    def __init__(self, start_ns: int, random: Generator) -> None:
        self._random = random
        self._ends = np.array([start_ns])
        self._words: Words = np.zeros(1, np.uint64)
        self._done = 1
        """How many of these have been yielded; the first only says when the others begin."""
        self._counts: Counter[str] = Counter()

    def advance(self, now_ns: int) -> Iterator[Words]:
        """Yield the events of softirqs that ended up to a time, (softirqs, 1)."""
        while True:
            ended = int(np.searchsorted(self._ends, now_ns, "right"))
            words = self._words[self._done : ended]
            vectors = words >> np.uint64(LATENCY_BITS) & np.uint64((1 << SOFTIRQ_VECTOR_BITS) - 1)
            self._counts.update(vector_name(number) for number in vectors.tolist())
            self._done = ended
            yield words.reshape(-1, 1)
            if ended < len(self._ends):
                return
            self._draw()

    def counts(self) -> dict[str, int]:
        """Return the kernel's counts by vector, of every vector."""
        return {name: self._counts[name] for name in VECTORS}

    def _draw(self) -> None:
        random = self._random
        gaps = random.exponential(GAP_NS, CHUNK).astype(np.int64)
        self._ends = self._ends[-1] + np.cumsum(gaps)
        numbers = [VECTORS.index(name) for name in SHARES]
        vectors = random.choice(numbers, CHUNK, p=list(SHARES.values())).astype(np.uint64)
        latency = random.lognormal(np.log(3_000), 0.8, CHUNK).astype(np.uint64) + np.uint64(1)
        in_scope = (random.random(CHUNK) < 0.5).astype(np.uint64)
        above = vectors | in_scope << np.uint64(SOFTIRQ_VECTOR_BITS)
        self._words, self._done = latency | above << np.uint64(LATENCY_BITS), 0
