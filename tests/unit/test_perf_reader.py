"""Where the perf buffers' reader differs from the ring's; test_readers.py has what they share."""

import random
import struct
from collections.abc import Iterator

import pytest
import trio
from fakes.kernel_batches import KernelBatches
from fakes.transport_memory import (
    PAGE,
    PERF_STRIDE,
    FakeWakeups,
    PerfMemory,
    batch_id,
    drained,
    events_of,
)

from agent.recording.collection import Collection
from agent.streams.drain.batches import OpenBatches
from agent.streams.drain.folded import FoldedTables
from agent.streams.drain.perf import CorruptBuffer, PerfEvent, PerfReader
from agent.streams.drain.poller import Drain

SIZE = 4 * PAGE
RECORDS_THAT_FIT = SIZE // PERF_STRIDE
THROTTLE, FORK, UNKNOWN = 5, 7, 99


@pytest.fixture
def memory() -> Iterator[PerfMemory]:
    memory = PerfMemory(SIZE)
    yield memory
    memory.close()


@pytest.fixture
def reader(memory: PerfMemory) -> Iterator[PerfReader]:
    reader = reader_of(memory)
    yield reader
    reader.close()


def reader_of(*memories: PerfMemory) -> PerfReader:
    reader = PerfReader(FakeWakeups())
    reader.add([PerfEvent(cpu, cpu + 1, memory.fd, SIZE) for cpu, memory in enumerate(memories)])
    return reader


def test_a_record_that_wraps_is_put_together(memory: PerfMemory, reader: PerfReader) -> None:
    """Over 300 laps it is cut at every multiple of 8, including right after the header."""
    cuts = set()
    for seq in range(300 * RECORDS_THAT_FIT):
        cuts.add(max(0, memory.head % SIZE + PERF_STRIDE - SIZE))
        assert memory.submit(seq, batch_id(1, 0))
        records = reader.read(10)
        assert records is not None
        assert records.ids.tolist() == [batch_id(1, 0)]
        assert records.seqs.tolist() == [seq]
        assert records.events[0].tolist() == events_of(seq)
        del records
        reader.release()
    assert cuts == set(range(0, PERF_STRIDE, 8))


def test_a_wrapping_record_keeps_its_place_in_the_order(
    memory: PerfMemory, reader: PerfReader
) -> None:
    for seq in range(RECORDS_THAT_FIT - 1):
        memory.submit(seq)
    drained(reader)
    for seq in range(RECORDS_THAT_FIT):
        memory.submit(seq)
    blocks = drained(reader)
    assert [seq for records in blocks for seq in records] == list(range(RECORDS_THAT_FIT))
    assert len(blocks) == 3


def test_positions_may_pass_any_power_of_two(memory: PerfMemory) -> None:
    """Positions only ever grow: 2^32 bytes pass in less than an hour."""
    grown = PerfMemory(SIZE, start=(1 << 40) - PERF_STRIDE // 2 // 8 * 8)
    reader = reader_of(grown)
    for seq in range(3 * RECORDS_THAT_FIT):
        grown.submit(seq)
        assert drained(reader) == [[seq]]
    assert grown.tail == grown.head > 1 << 40
    reader.close()
    grown.close()


def test_what_the_kernel_lost_is_counted_and_read_past(
    memory: PerfMemory, reader: PerfReader
) -> None:
    refused = 0
    seq = 0
    for _ in range(20):
        while memory.submit(seq):
            seq += 1
        refused += 1
        for _ in range(4):
            assert not memory.submit(seq)
            refused += 1
        records = reader.read(3)
        assert records is not None
        del records
        reader.release()
    assert memory.submit(seq)
    drained(reader)
    assert reader.refused() == refused


def test_a_lost_record_may_wrap(memory: PerfMemory, reader: PerfReader) -> None:
    for left in (8, 16):
        at = memory.head % SIZE
        memory.other(UNKNOWN, SIZE - left - at)
        assert reader.read(1) is None
        memory.other(2, 24, struct.pack("=QQ", 77, 1000 + left))
        assert reader.read(1) is None
    assert reader.refused() == 1008 + 1016


@pytest.mark.parametrize("kind", [THROTTLE, FORK, UNKNOWN])
def test_records_of_other_kinds_are_passed_over(
    memory: PerfMemory, reader: PerfReader, kind: int
) -> None:
    memory.other(kind, 32)
    memory.submit(0)
    memory.other(kind, PERF_STRIDE)
    memory.submit(1)
    memory.submit(2)
    memory.other(kind, 8)
    assert drained(reader) == [[0], [1, 2]]
    assert memory.tail == memory.head


def test_any_mixture_comes_out_whole_and_in_order(memory: PerfMemory, reader: PerfReader) -> None:
    dice = random.Random(1)
    written = 0
    read: list[int] = []
    for _ in range(400):
        if dice.random() < 0.2 and memory.head - memory.tail < SIZE - PERF_STRIDE:
            memory.other(dice.choice([THROTTLE, UNKNOWN]), dice.randrange(8, 120, 8))
        elif dice.random() < 0.8:
            written += memory.submit(written)
        else:
            for records in drained(reader, dice.randrange(1, 4)):
                read += records
    for records in drained(reader):
        read += records
    assert read == list(range(written))
    assert written > 100


@pytest.mark.parametrize(("kind", "size"), [(9, PERF_STRIDE - 8), (9, 64), (1, 0), (1, 4), (1, 20)])
def test_a_record_that_cannot_be_is_an_error(
    memory: PerfMemory, reader: PerfReader, kind: int, size: int
) -> None:
    memory.other(kind, size)
    memory.submit(0)
    with pytest.raises(CorruptBuffer, match=f"{size} bytes"):
        reader.read(10)


def test_every_cpu_is_read() -> None:
    memories = [PerfMemory(SIZE) for _ in range(3)]
    reader = reader_of(*memories)
    for cpu in (0, 2):
        for seq in range(2):
            memories[cpu].submit(seq, batch_id(cpu, 0))
    found = []
    while (records := reader.read(10)) is not None:
        found += [(ident >> 8, seq) for ident, seq in zip(records.ids, records.seqs, strict=True)]
        del records
        reader.release()
    assert found == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert [memory.tail for memory in memories] == [memory.head for memory in memories]
    reader.close()
    for memory in memories:
        memory.close()


def test_a_replaced_buffer_is_read_out_before_its_successor() -> None:
    """The CPU was offline in between; its batches must come in the order of their numbers."""
    old, other, new = (PerfMemory(SIZE) for _ in range(3))
    reader = reader_of(old, other)
    old.submit(0)
    reader.add([PerfEvent(0, 3, new.fd, SIZE)])
    new.submit(1)
    assert drained(reader) == [[0], [1]]
    assert reader.serials == [1, 2, 3]
    reader.discard()
    assert reader.serials == [2, 3]
    new.submit(2)
    assert drained(reader) == [[2]]
    reader.close()
    for memory in (old, other, new):
        memory.close()


def test_what_a_replaced_buffer_lost_stays_counted() -> None:
    old, new = PerfMemory(SIZE), PerfMemory(SIZE)
    reader = reader_of(old)
    old.other(2, 24, struct.pack("=QQ", 77, 5))
    drained(reader)
    reader.add([PerfEvent(0, 3, new.fd, SIZE)])
    reader.discard()
    new.other(2, 24, struct.pack("=QQ", 77, 2))
    drained(reader)
    assert reader.refused() == 7
    reader.close()
    for memory in (old, new):
        memory.close()


async def test_a_run_counts_what_was_refused_in_it(memory: PerfMemory, reader: PerfReader) -> None:
    kernel = KernelBatches()
    batches = OpenBatches(kernel.fd, kernel.geometry)
    folded = FoldedTables(kernel.folding.fds, kernel.geometry, batches)
    runs = []
    for refused in (5, 2):
        drain = Drain(reader, batches, folded, Collection())
        memory.other(2, 24, struct.pack("=QQ", 77, refused))
        await drain.drain_all()
        runs.append(drain.refused)
    assert runs == [5, 2]
    batches.close()
    kernel.close()


def test_buffers_are_mapped_all_or_none(memory: PerfMemory) -> None:
    wakeups = FakeWakeups()
    reader = PerfReader(wakeups)
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.add([PerfEvent(0, 1, memory.fd, SIZE), PerfEvent(1, 2, -2, SIZE)])
    assert wakeups.added == []
    assert reader.serials == []
    assert reader.read(10) is None


async def test_every_buffer_wakes_the_reader(autojump_clock: trio.testing.MockClock) -> None:
    memories = [PerfMemory(SIZE) for _ in range(2)]
    wakeups = FakeWakeups()
    reader = PerfReader(wakeups)
    reader.add([PerfEvent(0, 1, memories[0].fd, SIZE)])
    reader.add([PerfEvent(1, 2, memories[1].fd, SIZE)])
    assert wakeups.added == [memory.fd for memory in memories]
    with trio.move_on_after(60) as waited:
        await reader.wait()
    assert waited.cancelled_caught
    wakeups.wake()
    await reader.wait()
    reader.close()
    for memory in memories:
        memory.close()
