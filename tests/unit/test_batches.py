"""Every event is handed over exactly once, however it arrives and whenever the reader looks."""

import random

import numpy as np
import pytest
from fakes.kernel_batches import KernelBatches, RacedBatches
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.recording.collection import Collection
from agent.sections.runqlat.evidence import RunqlatFold
from agent.streams.drain.batches import RECORDS_COPIED, STREAMS, Ledger, OpenBatches, Words
from agent.streams.shared.layout import (
    BATCH_WORDS,
    STREAM_NUMBERS,
    STREAM_RUNQLAT,
    STREAM_WORDS,
)

STREAM_BIOLATENCY, STREAM_EXEC = STREAM_NUMBERS["biolatency"], STREAM_NUMBERS["exec"]
STREAM_EXIT = STREAM_NUMBERS["exit"]


class Received:
    """A sink that remembers the first word of each event, by stream."""

    def __init__(self) -> None:
        self.events: dict[int, list[int]] = {stream: [] for stream in range(STREAMS)}

    def __call__(self, stream: int, words: Words) -> None:
        events = words.reshape(-1, STREAM_WORDS[stream])
        # each event is whole: its other words count up from the first
        assert (np.diff(events, axis=1) == 1).all()
        self.events[stream] += events[:, 0].tolist()


@pytest.fixture
def ledger(kernel: KernelBatches) -> Ledger:
    return Ledger(len(kernel.rows))


def take_records(kernel: KernelBatches, ledger: Ledger, sink: Received, limit: int = 100) -> None:
    records = kernel.take(limit)
    if records is not None:
        ledger.take_records(records, sink)


def made(kernel: KernelBatches, stream: int) -> list[int]:
    """Return the first words of all events that a stream's batches took, on all CPUs."""
    return sorted(
        event for row in range(stream, len(kernel.rows), STREAMS) for event in kernel.produced[row]
    )


def assert_each_once(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger, sink: Received
) -> None:
    for stream in range(STREAMS):
        assert sorted(sink.events[stream]) == made(kernel, stream)
        assert ledger.received[stream] == len(sink.events[stream])
        lost = batches.totals("lost")[stream]
        assert batches.produced()[stream] == ledger.received[stream] + lost


def test_an_open_batch_is_taken_in_place_once(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger
) -> None:
    sink = Received()
    kernel.event(STREAM_RUNQLAT, 3)
    kernel.event(STREAM_BIOLATENCY, 2)
    for _ in range(2):
        ledger.take_open(batches, sink)
        assert_each_once(kernel, batches, ledger, sink)
    kernel.event(STREAM_RUNQLAT, 2)
    ledger.take_open(batches, sink)
    assert_each_once(kernel, batches, ledger, sink)
    assert ledger.received[STREAM_RUNQLAT] == 5


def test_the_record_of_a_batch_brings_what_the_look_left(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger
) -> None:
    sink = Received()
    kernel.event(STREAM_RUNQLAT, 100)
    ledger.take_open(batches, sink)
    kernel.event(STREAM_RUNQLAT, BATCH_WORDS)
    take_records(kernel, ledger, sink)
    assert len(sink.events[STREAM_RUNQLAT]) == BATCH_WORDS
    ledger.take_open(batches, sink)
    assert_each_once(kernel, batches, ledger, sink)


def test_a_batch_that_is_full_and_not_handed_over_is_taken_in_place(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger
) -> None:
    sink = Received()
    kernel.room = 0
    fit = BATCH_WORDS // STREAM_WORDS[STREAM_EXEC]
    kernel.event(STREAM_EXEC, fit + 7)
    ledger.take_open(batches, sink)
    assert ledger.received[STREAM_EXEC] == fit
    assert kernel.lost == 7
    assert_each_once(kernel, batches, ledger, sink)
    # once there is room again, the batch's record repeats nothing
    kernel.room = 4
    kernel.event(STREAM_EXEC)
    take_records(kernel, ledger, sink)
    ledger.take_open(batches, sink)
    assert_each_once(kernel, batches, ledger, sink)


def test_records_of_many_cpus_and_streams_may_come_in_one_block(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger
) -> None:
    sink = Received()
    kernel.room = 100
    for _ in range(3):
        for row in range(len(kernel.rows)):
            kernel.event(row, BATCH_WORDS // STREAM_WORDS[row % STREAMS])
    take_records(kernel, ledger, sink)
    ledger.take_open(batches, sink)
    assert_each_once(kernel, batches, ledger, sink)


def test_records_of_one_stream_among_others_are_folded_together(
    kernel: KernelBatches, ledger: Ledger
) -> None:
    """One call of the sink per record would cost more than folding the record's events."""
    calls: list[tuple[int, int]] = []
    kernel.room = 10_000
    count = RECORDS_COPIED + 5
    for _ in range(count):
        for stream in (STREAM_RUNQLAT, STREAM_BIOLATENCY):
            kernel.event(stream, BATCH_WORDS // STREAM_WORDS[stream])
    # a full batch is handed over when the next event comes
    kernel.event(STREAM_RUNQLAT)
    kernel.event(STREAM_BIOLATENCY)
    records = kernel.take(2 * count)
    assert records is not None
    ledger.take_records(records, lambda stream, words: calls.append((stream, len(words))))
    assert calls == [
        (STREAM_RUNQLAT, RECORDS_COPIED),
        (STREAM_RUNQLAT, 5),
        (STREAM_BIOLATENCY, RECORDS_COPIED),
        (STREAM_BIOLATENCY, 5),
    ]


@settings(max_examples=300)
@given(seed=st.integers(0, 1 << 32), room=st.integers(0, 6))
def test_any_interleaving_hands_over_each_event_once(seed: int, room: int) -> None:
    """The kernel side advances by single stores before each read of a field of its memory.

    These streams lose what finds no room; test_folded.py has those that are folded instead.
    """
    dice = random.Random(seed)
    kernel = KernelBatches(room=room)
    rows = (STREAM_EXIT, STREAMS + STREAM_EXEC)

    def advance_kernel() -> None:
        row = dice.choice(rows)
        for _ in range(dice.randrange(4)):
            kernel.step(row)

    raced = RacedBatches(kernel, advance_kernel)
    ledger = Ledger(len(kernel.rows))
    sink = Received()
    for _ in range(20):
        for row in rows:
            # almost to the end of the batch, where the races are
            kernel.event(row, max(0, kernel.events_left(row) - dice.randrange(3)))
        advance_kernel()
        for _ in range(dice.randrange(3)):
            take_records(kernel, ledger, sink, dice.randrange(1, 4))
        ledger.take_open(raced, sink)
    kernel.finish()
    while kernel.records:
        take_records(kernel, ledger, sink)
    batches = OpenBatches(kernel.fd, kernel.geometry)
    ledger.take_open(batches, sink)
    assert_each_once(kernel, batches, ledger, sink)
    batches.close()
    raced.close()
    kernel.close()


def test_a_batch_that_never_arrives_shows_in_the_sums(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger
) -> None:
    sink = Received()
    kernel.event(STREAM_RUNQLAT, 3 * BATCH_WORDS + 10)
    del kernel.records[1]
    take_records(kernel, ledger, sink)
    ledger.take_open(batches, sink)
    assert batches.produced()[STREAM_RUNQLAT] - ledger.received[STREAM_RUNQLAT] == BATCH_WORDS


def test_what_was_taken_of_a_batch_that_never_arrives_is_not_left_out_of_the_next(
    kernel: KernelBatches, batches: OpenBatches, ledger: Ledger
) -> None:
    sink = Received()
    kernel.event(STREAM_RUNQLAT, 100)
    ledger.take_open(batches, sink)
    kernel.event(STREAM_RUNQLAT, 2 * BATCH_WORDS)
    del kernel.records[0]
    take_records(kernel, ledger, sink)
    ledger.take_open(batches, sink)
    assert batches.produced()[STREAM_RUNQLAT] - ledger.received[STREAM_RUNQLAT] == BATCH_WORDS - 100
    missing = set(made(kernel, STREAM_RUNQLAT)) - set(sink.events[STREAM_RUNQLAT])
    assert len(missing) == BATCH_WORDS - 100
    assert len(sink.events[STREAM_RUNQLAT]) == len(set(sink.events[STREAM_RUNQLAT]))


def test_no_view_of_an_event_outlives_its_folding(kernel: KernelBatches) -> None:
    batches = OpenBatches(kernel.fd, kernel.geometry)
    collection = Collection()
    kernel.event(STREAM_RUNQLAT, 10)
    kernel.event(STREAM_BIOLATENCY, 10)
    kernel.event(STREAM_EXEC, 10)
    Ledger(len(kernel.rows)).take_open(batches, collection.take)
    runqlat = collection.folds["runqlat"]
    assert isinstance(runqlat, RunqlatFold)
    assert runqlat.histogram.total_count == 10
    del runqlat
    batches.close()


def test_a_view_that_is_kept_is_noticed(kernel: KernelBatches) -> None:
    batches = OpenBatches(kernel.fd, kernel.geometry)
    view = batches.rows[0]["events"][:5]
    with pytest.raises(BufferError):
        batches.close()
    assert len(view) == 5
    del view
    batches.close()
