"""The synthetic side's memory, read by the agent's own reader."""

from collections.abc import Iterator

import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from agent.mock.batches import Batches
from agent.mock.memory import MockReader, Ring, Tables
from agent.streams.drain.batches import STREAMS, Ledger, OpenBatches, Words
from agent.streams.drain.ring import STRIDE
from agent.streams.shared.layout import (
    BATCH_WORDS,
    STREAM_NAMES,
    STREAM_NUMBERS,
    STREAM_WORDS,
    machine_geometry,
)

SMALL_RING = 1 << 16
"""Room for 31 records: more than one write of a test takes, and they soon wrap."""


class Side:
    """Writer and reader of the same memory."""

    def __init__(self) -> None:
        geometry = machine_geometry(2, 1024)
        self.tables = Tables(geometry)
        self.ring = Ring(SMALL_RING)
        self.reader: MockReader = self.ring.reader()
        self.open = OpenBatches(self.tables.fds["batches"], geometry)
        self.begin()

    def begin(self) -> None:
        """Begin a run."""
        self.tables.reset()
        self.reader.discard()
        self.writer = Batches(self.tables, self.ring)
        self.ledger = Ledger(len(self.tables.batches))
        self.taken: dict[int, list[int]] = {}

    def close(self) -> None:
        self.tables.close()
        self.ring.close()

    def take(self, stream: int, words: Words) -> None:
        self.taken.setdefault(stream, []).extend(words.ravel().tolist())

    def drain(self) -> None:
        while (records := self.reader.read(100)) is not None:
            self.ledger.take_records(records, self.take)
            del records
            self.reader.release()


@pytest.fixture(scope="module")
def side() -> Iterator[Side]:
    side = Side()
    yield side
    side.close()


@given(
    writes=st.lists(
        st.tuples(
            st.integers(0, 1), st.sampled_from(STREAM_NAMES), st.integers(0, 200), st.booleans()
        ),
        max_size=25,
    )
)
def test_what_is_written_arrives_once_and_what_does_not_is_counted(
    side: Side, writes: list[tuple[int, str, int, bool]]
) -> None:
    side.begin()
    written = dict.fromkeys(range(STREAMS), 0)
    words: dict[int, set[int]] = {}
    numbers: Iterator[int] = iter(range(10**9))
    for cpu, stream, count, drained in writes:
        stream_number = STREAM_NUMBERS[stream]
        size = STREAM_WORDS[stream_number]
        events = np.array([next(numbers) for _ in range(count * size)], np.uint64)
        words.setdefault(stream_number, set()).update(events.tolist())
        side.writer.write(cpu, stream, events.reshape(count, size))
        written[stream_number] += count
        if drained:
            side.drain()
    side.drain()
    side.ledger.take_open(side.open, side.take)

    lost = side.open.totals("lost")
    assert side.open.produced() == list(written.values())
    for stream_number, count in written.items():
        found = side.taken.get(stream_number, [])
        assert (
            len(found)
            == len(set(found))
            == (count - lost[stream_number]) * STREAM_WORDS[stream_number]
        )
        assert set(found) <= words.get(stream_number, set())
    if all(drained for *_, drained in writes):
        assert lost == [0] * STREAMS


async def test_a_ring_that_fills_wakes_its_reader(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    side = Side()
    woken = trio.Event()

    async def wait() -> None:
        await side.reader.wait()
        woken.set()

    nursery.start_soon(wait)
    records = SMALL_RING // STRIDE
    for written in range(records):
        side.writer.write(0, "runqlat", np.zeros((BATCH_WORDS, 1), np.uint64))
        await trio.testing.wait_all_tasks_blocked()
        assert woken.is_set() == (written > records // 2 + 1)
    side.close()
