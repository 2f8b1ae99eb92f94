"""How a run's latencies, events and losses grew: at most 120 snapshots of what was counted so far.

Snapshots are cumulative, so two of them merge by leaving out the earlier one, and the difference of
any two is what happened in between. When there are as many as are kept, every other one goes, and
from then on they are taken half as often: memory and evidence stay small however long the run is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.aggregate.histogram import POWERS_OF_TWO_US
from agent.recording.clock import elapsing_ns
from agent.words import Json

MOST = 120
INTERVAL_NS = 1_000_000_000
"""Between two snapshots, until the first merge. It is that of the drains, each of which takes one:
they read the events anyway."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run had counted at a moment."""

    at_ns: int
    """Since everything was attached."""
    events: int
    """Received so far, over all streams."""
    lost: int
    """Events dropped so far, over all streams."""
    latencies: Mapping[str, NDArray[np.uint64]]
    """Counts so far by power of two, (len(POWERS_OF_TWO_US),), for each section with latencies."""


class Timeline:
    """The snapshots of one run: 0.1 MB at most, and 36 kB of evidence (15 kB compressed)."""

    def __init__(self, clock_ns: Callable[[], int] = elapsing_ns) -> None:
        self._clock_ns = clock_ns
        self._began_ns: int | None = None
        self._interval_ns = INTERVAL_NS
        self._due_ns = 0
        self._snapshots: list[Snapshot] = []

    def begin(self, at_ns: int) -> None:
        """Note when everything was attached, by the clock: before this, no snapshot is due."""
        self._began_ns = at_ns

    def is_due(self) -> bool:
        """Return whether it is time for the next snapshot."""
        return self._began_ns is not None and self._elapsed_ns() >= self._due_ns

    def add(self, events: int, lost: int, latencies: Mapping[str, NDArray[np.uint64]]) -> None:
        """Take a snapshot; the arguments are its fields. It must be due."""
        if len(self._snapshots) == MOST:
            del self._snapshots[::2]
            self._interval_ns *= 2
        at_ns = self._elapsed_ns()
        self._snapshots.append(Snapshot(at_ns, events, lost, latencies))
        # on a grid, so that drains that come a little late each time are not one fewer in the end
        self._due_ns = (at_ns // self._interval_ns + 1) * self._interval_ns

    def until(self, end: Snapshot) -> list[Snapshot]:
        """Return the snapshots before ``end``, and that one; at most ``MOST``."""
        before = [snapshot for snapshot in self._snapshots if snapshot.at_ns < end.at_ns]
        if len(before) == MOST:
            del before[::2]
        return [*before, end]

    def _elapsed_ns(self) -> int:
        assert self._began_ns is not None
        return self._clock_ns() - self._began_ns


def evidence(snapshots: list[Snapshot]) -> Json:
    """Return the object ``timeline``: a column for each figure, with a value for each snapshot.

    Buckets that are empty at the end are left out, as they are of the histograms.
    """
    return {
        "at_s": [round(snapshot.at_ns / 1e9, 3) for snapshot in snapshots],
        "events": [snapshot.events for snapshot in snapshots],
        "lost": [snapshot.lost for snapshot in snapshots],
        **{section: _buckets(snapshots, section) for section in snapshots[-1].latencies},
    }


def _buckets(snapshots: list[Snapshot], section: str) -> list[Json]:
    columns = np.array([snapshot.latencies[section] for snapshot in snapshots]).T
    return [
        {"bucket_us": bound, "counts": counts.tolist()}
        for bound, counts in zip(POWERS_OF_TWO_US, columns, strict=True)
        if counts[-1]
    ]
