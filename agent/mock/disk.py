"""A synthetic disk: its requests, and the kernel's figures of it."""

from collections import Counter

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.mock.cycles import CHUNK
from agent.mock.scripts import Script
from agent.sections.biolatency.layout import (
    BLOCK_FLUSH,
    BLOCK_IN_DISKSTATS,
    BLOCK_READ,
    BLOCK_STATISTICS,
    BLOCK_WRITE,
)
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import LATENCY_BITS

MAJOR = 4_000
"""Larger than any major number of a block device (BLKDEV_MAJOR_MAX is 512), so that what the agent
looks up about disks of this machine is not about this one."""
DEVICE = MAJOR << 20
NAME = f"{MAJOR}:0"
REGISTRATION = 1

GAP_NS = 2_500_000
"""Average time between two requests."""
OPERATIONS = (BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH)
SHARES = (0.62, 0.36, 0.02)
SUBMITTER = (101, b"bench")

_REQUEST = np.dtype(
    [("queued", "i8"), ("issued", "i8"), ("done", "i8"), ("op", "i8"), ("bytes", "i8")]
)


class Disk:
    """Requests arrive at random. The disk's cache answers some; the others take milliseconds."""

    def __init__(self, start_ns: int, script: Script, random: Generator) -> None:
        self._random = random
        self._script = script
        self._drawn_until = start_ns
        self._ahead = np.zeros(0, _REQUEST)
        """Requests that have not completed, and those that have not even arrived."""
        self._completed: Counter[str] = Counter()
        self._now_ns = start_ns

    def advance(self, now_ns: int) -> Words:
        """Return the events of requests that completed up to a time, (requests, 4)."""
        self._now_ns = now_ns
        while self._drawn_until <= now_ns:
            self._draw()
        is_done = self._ahead["done"] <= now_ns
        done, self._ahead = self._ahead[is_done], self._ahead[~is_done]
        self._completed.update(BLOCK_STATISTICS[op] for op in done["op"].tolist())
        device_ns = done["done"] - done["issued"]
        kinds = (done["op"] | BLOCK_IN_DISKSTATS) << LATENCY_BITS
        total_ns = done["done"] - done["queued"]
        columns = (device_ns | kinds, total_ns, np.full(len(done), DEVICE), done["bytes"])
        return np.column_stack(columns).astype(np.uint64)

    def figures(self) -> dict[str, int]:
        """Return what the kernel says of the disk (`agent.sections.biolatency.diskstats`)."""
        in_flight = self._in_flight()["op"]
        reads = int(np.count_nonzero(in_flight == BLOCK_READ))
        writes = int(np.count_nonzero(in_flight == BLOCK_WRITE))
        figures = {name: self._completed[name] for name in ("read", "write", "discard", "flush")}
        figures |= {"registration": REGISTRATION}
        figures |= {"in_flight_read": reads, "in_flight_write": writes}
        return {f"{name}_{NAME}": value for name, value in figures.items()}

    def fill(self, table: NDArray[np.void]) -> None:
        """Write the requests that have been issued into the table of requests."""
        table.view(np.uint8)[:] = 0
        issued = self._in_flight()[: len(table)]
        rows = table[: len(issued)]
        rows["key"] = np.arange(1, len(issued) + 1)
        rows["since"], rows["kind"] = issued["issued"], issued["op"]
        rows["tid"], rows["comm"] = SUBMITTER
        rows["device"] = DEVICE

    def _in_flight(self) -> NDArray[np.void]:
        """Return the requests that have been issued and have not completed."""
        found: NDArray[np.void] = self._ahead[self._ahead["issued"] <= self._now_ns]
        return found

    def _draw(self) -> None:
        random = self._random
        requests = np.zeros(CHUNK, _REQUEST)
        gaps = random.exponential(GAP_NS, CHUNK).astype(np.int64)
        requests["queued"] = self._drawn_until + np.cumsum(gaps)
        queue = random.lognormal(np.log(12_000), 0.5, CHUNK)
        requests["issued"] = requests["queued"] + queue.astype(np.int64)
        requests["done"] = requests["issued"] + self._device_ns(random)
        requests["op"] = random.choice(OPERATIONS, CHUNK, p=SHARES)
        requests["bytes"] = 4096 << random.integers(0, 5, CHUNK)
        requests["bytes"][requests["op"] == BLOCK_FLUSH] = 0
        self._drawn_until = int(requests["queued"][-1])
        self._ahead = np.concatenate([self._ahead, requests])

    def _device_ns(self, random: Generator) -> NDArray[np.int64]:
        cached = random.lognormal(np.log(85_000), 0.3, CHUNK)
        slow = random.lognormal(np.log(6_000_000), 0.35, CHUNK)
        chosen = np.where(random.random(CHUNK) < self._script.slow_io, slow, cached)
        return chosen.astype(np.int64) + 1
