"""Where the ring's reader differs from the perf buffers'; test_readers.py has what they share."""

from collections.abc import Iterator

import numpy as np
import pytest
from fakes.transport_memory import (
    BUSY,
    DISCARD,
    RING_STRIDE,
    RingMemory,
    drained,
    events_of,
)
from numpy.typing import NDArray

from agent.streams.drain.ring import CorruptRing, RingReader
from agent.streams.shared.layout import RECORD_SIZE

SIZE = 16_384
RECORDS_THAT_FIT = SIZE // RING_STRIDE


@pytest.fixture
def ring() -> Iterator[RingMemory]:
    memory = RingMemory(SIZE)
    yield memory
    memory.close()


@pytest.fixture
def reader(ring: RingMemory) -> Iterator[RingReader]:
    reader = RingReader(ring.fd, SIZE)
    yield reader
    reader.close()


def test_a_record_that_crosses_the_end_is_read_like_any_other(
    ring: RingMemory, reader: RingReader
) -> None:
    """The data is mapped twice in a row; 300 laps cover every offset."""
    seen = []
    offsets = set()
    for seq in range(300 * RECORDS_THAT_FIT):
        position = ring.record(seq)
        assert position is not None
        offsets.add(position % SIZE > SIZE - RING_STRIDE)
        records = reader.read(10)
        assert records is not None
        assert records.events[0].tolist() == events_of(seq)
        seen += records.seqs.tolist()
        del records
        reader.release()
    assert seen == list(range(300 * RECORDS_THAT_FIT))
    assert offsets == {True, False}


def test_several_records_across_the_end_come_in_one_block(
    ring: RingMemory, reader: RingReader
) -> None:
    for seq in range(RECORDS_THAT_FIT - 1):
        ring.record(seq)
    drained(reader)
    for seq in range(RECORDS_THAT_FIT):
        ring.record(seq)
    assert drained(reader) == [list(range(RECORDS_THAT_FIT))]


def test_reading_stops_at_a_record_that_is_being_written(
    ring: RingMemory, reader: RingReader
) -> None:
    ring.record(0)
    busy = ring.record(1, flags=BUSY)
    ring.record(2)
    assert busy is not None
    assert drained(reader) == [[0]]
    assert reader.read(10) is None
    ring.commit(busy)
    assert drained(reader) == [[1, 2]]


def test_a_record_that_is_committed_while_it_is_looked_at_comes_the_next_time(
    ring: RingMemory, reader: RingReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.record(0)
    busy = ring.record(1, flags=BUSY)
    assert busy is not None
    argmin = np.argmin

    def committing(whole: NDArray[np.bool_]) -> np.intp:
        """Commit the record after all headers are compared, as the first odd one is located."""
        ring.commit(busy)
        return argmin(whole)

    monkeypatch.setattr(np, "argmin", committing)
    assert drained(reader) == [[0], [1]]


@pytest.mark.parametrize("odd", [{"flags": DISCARD}, {"length": 64}, {"length": RECORD_SIZE - 8}])
def test_a_record_that_no_program_of_ours_writes_is_an_error(
    ring: RingMemory, reader: RingReader, odd: dict[str, int]
) -> None:
    ring.record(0, **odd)
    ring.record(1)
    with pytest.raises(CorruptRing, match=str(odd.get("length", RECORD_SIZE))):
        reader.read(10)


def test_a_later_reader_continues_at_the_rings_position(ring: RingMemory) -> None:
    first = RingReader(ring.fd, SIZE)
    ring.record(0)
    drained(first)
    first.close()
    ring.record(1)
    second = RingReader(ring.fd, SIZE)
    assert drained(second) == [[1]]
    second.close()
