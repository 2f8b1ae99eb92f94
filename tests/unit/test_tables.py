"""What the slots show of intervals that are still open."""

import os

import numpy as np
from numpy.typing import NDArray

from agent.streams.collect.tables import (
    COUNTERS_DTYPE,
    SLOT_DTYPE,
    OpenWait,
    OpenWaits,
    Stops,
    Tables,
)
from agent.streams.shared.layout import (
    SLOT_ABSENT,
    SLOT_INTERRUPTIBLE,
    SLOT_PREEMPTED,
    SLOT_PRIMED,
    SLOT_REASON_SHIFT,
    SLOT_RUNNABLE,
    SLOT_RUNNING,
    SLOT_STOPPED,
    STOP_FROZEN,
    STOP_SIGNAL,
    STOP_TRACED,
    Geometry,
)

GEOMETRY = Geometry(cpus=2, slots=8, members=8, ring_bytes=4096)
NOW = 1_000


def file_of(array: NDArray[np.void]) -> int:
    fd = os.memfd_create("table")
    os.write(fd, array.tobytes())
    return fd


def tables(*slots: tuple[int, int, int]) -> Tables:
    """Return tables with these slots (tid, tag, since) and ten ns stopped on each CPU."""
    rows = np.zeros(GEOMETRY.slots, SLOT_DTYPE)
    rows[: len(slots)] = list(slots)
    counters = np.zeros(GEOMETRY.cpus, COUNTERS_DTYPE)
    counters["stopped"][:, STOP_TRACED] = (10, 1)
    return Tables(file_of(counters), file_of(rows), GEOMETRY)


def stop(kind: int) -> int:
    return SLOT_STOPPED | kind << SLOT_REASON_SHIFT


def listed(stops: Stops) -> list[tuple[int, int]]:
    return list(zip(stops.ns.tolist(), stops.count.tolist(), strict=True))


def test_stops_are_added_up_by_kind() -> None:
    found = tables(
        (1, stop(STOP_SIGNAL), 900),
        (2, stop(STOP_FROZEN), 700),
        (3, stop(STOP_FROZEN) | SLOT_PRIMED, 400),
        (4, SLOT_ABSENT, 100),
        (5, SLOT_INTERRUPTIBLE, 100),
        (6, stop(STOP_TRACED), NOW + 1),  # after the stop of the run
    )
    assert listed(found.stops()) == [(0, 0), (20, 2), (0, 0), (0, 0)]
    assert listed(found.open_stops(NOW)) == [(100, 1), (0, 0), (900, 2), (0, 0)]
    both = found.stops() + found.open_stops(NOW)
    assert listed(both) == [(100, 1), (20, 2), (900, 2), (0, 0)]
    assert both.throughout == 1


def test_open_waits_are_counted_and_the_longest_is_described() -> None:
    found = tables(
        (1, SLOT_RUNNABLE, 900),
        (2, SLOT_PREEMPTED, 300),
        (3, SLOT_RUNNABLE | SLOT_PRIMED, 800),
        (4, SLOT_RUNNING, 0),
        (5, SLOT_INTERRUPTIBLE, 0),
        (6, SLOT_RUNNABLE, NOW + 1),  # after the stop of the run
    )
    longest = OpenWait(2, 700, older=False)
    assert found.waiting_for_a_cpu(NOW) == OpenWaits(3, 1, 1_000, longest)


def test_of_two_equal_waits_the_older_one_is_the_longest() -> None:
    found = tables((1, SLOT_RUNNABLE | SLOT_PRIMED, 100), (2, SLOT_RUNNABLE, 100))
    assert found.waiting_for_a_cpu(NOW).longest == OpenWait(1, 900, older=True)


def test_without_waits_there_is_no_longest_one() -> None:
    assert tables().waiting_for_a_cpu(NOW) == OpenWaits(0, 0, 0, None)


def test_what_blocks_after_the_stop_is_not_blocked_at_it() -> None:
    found = tables(
        (1, SLOT_INTERRUPTIBLE, 900),
        (2, SLOT_INTERRUPTIBLE | SLOT_PRIMED, 400),
        (3, SLOT_INTERRUPTIBLE, NOW + 1),
    )
    for with_primed, expected in ((True, (700, 2)), (False, (100, 1))):
        still = found.still_blocked(NOW, with_primed)
        assert (still.ns.sum(), still.count.sum()) == expected
    positions, lengths = found.open_waits(NOW)
    assert (positions.tolist(), lengths.tolist()) == ([0, 1], [100, 600])
