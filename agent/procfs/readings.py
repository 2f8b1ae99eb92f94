"""Two readings of counters, and what they grew by in between. Standard library only."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.procfs.files import Counts, Unreadable
from agent.words import Json

WENT_BACK = "its counter went back during the run"
LACKING = "this kernel does not report it"


class Source(NamedTuple):
    """Something to read, and the figures that it is read for."""

    figures: tuple[str, ...]
    read: Callable[[], Counts]
    """Raises `Unreadable`. It may return other figures too, which are not expected of it."""


@dataclass
class Reading:
    """What was read at one moment, and why the rest is missing, by figure."""

    counts: Counts = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def read(sources: Iterable[Source]) -> Reading:
    """Read all sources. What cannot be read is missing, with the reason."""
    reading = Reading()
    for source in sources:
        try:
            found = source.read()
        except Unreadable as error:
            reading.missing.update(dict.fromkeys(source.figures, str(error)))
            continue
        reading.counts.update(found)
        lacking = [name for name in source.figures if name not in found]
        reading.missing.update(dict.fromkeys(lacking, LACKING))
    return reading


def growth(before: Reading, after: Reading) -> Reading:
    """Return what was counted between two readings; what is missing in one has no growth."""
    grown = Reading(missing={**after.missing, **before.missing})
    for name, now in after.counts.items():
        if name in grown.missing or name not in before.counts:
            continue
        if now < before.counts[name]:
            grown.missing[name] = WENT_BACK
        else:
            grown.counts[name] = now - before.counts[name]
    return grown


def as_json(counts: Mapping[str, int]) -> Json:
    """Return counts as evidence has them: times in ms, and names with dots as nested objects."""
    built: Json = {}
    for name, count in counts.items():
        *folders, last = name.split(".")
        place = built
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = count / 1e6 if last.endswith("_ms") else count
    return built
