"""One disk's figures at the readings of a run. Pure functions of the run's edges."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from agent.sections.biolatency.diskstats import COLUMNS, REGISTRATION, TAKES_BIOS
from agent.streams.shared.kernel_counts import Edge, SectionCounts

DIRECTIONS = {"read": ("read",), "write": ("write", "discard")}
"""Operations by direction: the kernel counts requests in flight as one or the other."""

Figures = Mapping[str, int]
"""One disk's figures at one reading (diskstats.py), by name."""


@dataclass(frozen=True, slots=True)
class DiskReadings:
    """One disk's figures at the four readings of a run; None where the disk was not found.

    The first is from before attaching, the last from after detaching; what we count lies between
    those two. The inner ones are read while everything is attached.
    """

    before: Figures | None
    start: Figures | None
    stop: Figures | None
    after: Figures | None

    @property
    def is_idle(self) -> bool:
        """Whether it completed nothing and had nothing in flight from the first reading on."""
        first = self.before
        return (
            first is not None
            and first == self.start == self.stop == self.after
            and not any(f"in_flight_{direction}" in first for direction in DIRECTIONS)
        )

    @property
    def takes_bios(self) -> bool:
        """Whether the disk has no requests."""
        return any(TAKES_BIOS in figures for figures in self._found())

    def growth(self) -> dict[str, int] | None:
        """Return the requests completed during the run, by operation; None if not known.

        That is the case if the disk was removed, or its figures were reset. All requests of a disk
        that was added during the run count.
        """
        return self._between(self.start, self.stop)

    def outer_growth(self) -> dict[str, int] | None:
        """Return the same for the time from before attaching until after detaching."""
        return self._between(self.before, self.after)

    def in_flight(self, direction: str) -> tuple[int | None, int | None]:
        """Return the requests that the driver had at the start and at the stop of the run."""
        name = f"in_flight_{direction}"
        start, stop = (_in_flight(figures, name) for figures in (self.start, self.stop))
        return start, stop

    def most_in_flight_at_stop(self, direction: str) -> int | None:
        """Return the larger of the two numbers read around the stop; None if neither is known."""
        name = f"in_flight_{direction}"
        counts = [_in_flight(figures, name) for figures in (self.stop, self.after)]
        return max((count for count in counts if count is not None), default=None)

    def older_than_run(self, direction: str, seen: int) -> tuple[int, int] | None:
        """Return bounds of the number of requests in flight during the whole run, if known.

        They were in flight at each reading, hence the upper bound. ``seen``: completed requests
        that we saw begin in the run. The kernel counted others as completed too; at most that many
        of those in flight at the first reading have completed, hence the lower bound.
        """
        name = f"in_flight_{direction}"
        growth = self.outer_growth()
        counts = [_in_flight(f, name) for f in (self.before, self.start, self.stop, self.after)]
        known = [count for count in counts if count is not None]
        if growth is None or len(known) < len(counts):
            return None
        others = max(0, sum(growth[name] for name in DIRECTIONS[direction]) - seen)
        most = min(known)
        return min(most, max(0, known[0] - others)), most

    def _between(self, then: Figures | None, now: Figures | None) -> dict[str, int] | None:
        was_added = self.before is None and self.start is None
        if now is None or (then is None and not was_added) or not self._is_one_disk():
            return None
        return {name: now[name] - (then[name] if then else 0) for name in COLUMNS}

    def _found(self) -> list[Figures]:
        """Return the readings in which it was found; those that are one object once."""
        readings = (self.before, self.start, self.stop, self.after)
        return list({id(figures): figures for figures in readings if figures is not None}.values())

    def _is_one_disk(self) -> bool:
        """Whether all readings are of the same disk, whose counts never went back."""
        found = self._found()
        if len({figures.get(REGISTRATION) for figures in found}) > 1:
            return False
        return all(now[name] >= then[name] for then, now in pairwise(found) for name in COLUMNS)


def disk_readings(edges: tuple[Edge, Edge]) -> dict[str, DiskReadings]:
    """Return the readings of each disk that was found at any of them, by ``major:minor``."""
    began, ended = edges
    readings = _by_disk(began.outer, began.sections, ended.sections, ended.outer)
    # the outer readings are the supervisor's, which may be gone
    readings[0] = readings[0] or readings[1]
    readings[3] = readings[3] or readings[2]
    return {
        device: DiskReadings(*(reading.get(device) for reading in readings))
        for device in sorted({device for reading in readings for device in reading})
    }


def _by_disk(*readings: SectionCounts) -> list[dict[str, Figures]]:
    """Return each disk's figures at each reading; a disk that did nothing has the same object."""
    found: list[dict[str, Figures]] = []
    last: Mapping[str, int] = {}
    disks: dict[str, Figures] = {}
    for counts in readings:
        now = counts.get("biolatency", {})
        if now != last:
            rows = _of_one_reading(now)
            disks = {d: disks[d] if disks.get(d) == row else row for d, row in rows.items()}
        found.append(disks)
        last = now
    return found


def _of_one_reading(counts: Mapping[str, int]) -> dict[str, Figures]:
    disks: dict[str, dict[str, int]] = {}
    for name, value in counts.items():
        figure, _, device = name.rpartition("_")
        disks.setdefault(device, {})[figure] = value
    # a partial row would make up counts
    return {device: figures for device, figures in disks.items() if figures.keys() >= {*COLUMNS}}


def _in_flight(figures: Figures | None, name: str) -> int | None:
    return None if figures is None else figures.get(name, 0)
