"""What both transports' readers have in common, on memory written as the kernel writes it."""

from collections.abc import Callable, Iterator

import pytest
from fakes.transport_memory import (
    PAGE,
    FakeWakeups,
    PerfMemory,
    RingMemory,
    TransportMemory,
    batch_id,
    drained,
    events_of,
)

from agent.streams.drain.batches import Records
from agent.streams.drain.perf import PerfEvent, PerfReader
from agent.streams.drain.ring import RingReader
from agent.streams.shared.layout import STREAM_RUNQLAT

SIZE = 4 * PAGE


def perf_reader(memory: TransportMemory) -> PerfReader:
    reader = PerfReader(FakeWakeups())
    reader.add([PerfEvent(0, 1, memory.fd, SIZE)])
    return reader


def ring_reader(memory: TransportMemory) -> RingReader:
    return RingReader(memory.fd, SIZE)


AnyReader = RingReader | PerfReader
Transport = tuple[type[TransportMemory], Callable[[TransportMemory], AnyReader]]


@pytest.fixture(params=[(RingMemory, ring_reader), (PerfMemory, perf_reader)], ids=["ring", "perf"])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


@pytest.fixture
def memory(transport: Transport) -> Iterator[TransportMemory]:
    memory = transport[0](SIZE)
    yield memory
    memory.close()


@pytest.fixture
def reader(transport: Transport, memory: TransportMemory) -> Iterator[AnyReader]:
    reader = transport[1](memory)
    yield reader
    reader.close()


def test_an_empty_buffer_has_nothing(reader: AnyReader) -> None:
    assert reader.read(10) is None


def test_records_come_as_they_were_written(memory: TransportMemory, reader: AnyReader) -> None:
    for seq in range(3):
        memory.submit(seq, batch_id(5, STREAM_RUNQLAT))
    records = reader.read(10)
    assert records is not None
    assert records.ids.tolist() == [5 << 8] * 3
    assert records.seqs.tolist() == [0, 1, 2]
    assert records.events.tolist() == [events_of(seq) for seq in range(3)]
    assert records.events.ctypes.data % 8 == 0
    del records
    reader.release()
    assert reader.read(10) is None


def test_no_more_than_asked_for(memory: TransportMemory, reader: AnyReader) -> None:
    for seq in range(5):
        memory.submit(seq)
    assert drained(reader, limit=2) == [[0, 1], [2, 3], [4]]


def test_room_is_given_back_on_release_and_not_before(
    memory: TransportMemory, reader: AnyReader
) -> None:
    while memory.submit(0):
        pass
    assert reader.read(2) is not None
    assert memory.tail == 0
    reader.release()
    assert memory.tail == 2 * memory.stride
    assert memory.submit(9)


def test_what_an_earlier_run_left_is_discarded(memory: TransportMemory, reader: AnyReader) -> None:
    for seq in range(3):
        memory.submit(seq)
    reader.discard()
    assert memory.tail == memory.head
    memory.submit(7)
    assert drained(reader) == [[7]]


def test_closing_fails_while_a_view_lives(memory: TransportMemory, reader: AnyReader) -> None:
    memory.submit(0)
    records: Records | None = reader.read(1)
    with pytest.raises(BufferError):
        reader.close()
    assert records is not None
    del records
