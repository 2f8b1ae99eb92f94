"""Bar charts and columns in plain characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.terminal.values import count, duration, number

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart: its label, the size that its bar represents, and a note."""

    label: str
    size: float
    note: str


def bar(size: float, largest: float, width: int) -> str:
    """Return a bar, ``width`` cells long for the largest size, never empty for a size above 0."""
    if size <= 0 or largest <= 0 or width <= 0:
        return ""
    eighths = max(1, round(min(size / largest, 1) * width * 8))
    whole, rest = divmod(eighths, 8)
    return (FULL * whole + EIGHTHS[rest]).rstrip()


def chart(bars: Sequence[Bar], width: int) -> list[str]:
    """Return the rows of a chart that is ``width`` columns wide."""
    if not bars:
        return []
    labels = max(len(row.label) for row in bars)
    notes = max(len(row.note) for row in bars)
    largest = max(row.size for row in bars)
    room = max(width - labels - notes - 4, 4)
    return [
        f"{row.label:>{labels}}  {row.note:>{notes}}  {bar(row.size, largest, room)}".rstrip()
        for row in bars
    ]


def histogram(buckets: Sequence[Mapping[str, object]], width: int) -> list[str]:
    """Return a chart of an evidence histogram.

    A bucket's lower bound is in µs, a power of two, or 0 for values below 1.
    """
    counts: dict[float, float] = {}
    for bucket in buckets:
        lower, size = number(bucket.get("bucket_us")), number(bucket.get("count"))
        if lower is not None and lower >= 0 and size is not None:
            counts[lower] = counts.get(lower, 0) + size
    lowers = with_gaps(sorted(counts))
    return chart(
        [Bar(range_of(low), counts.get(low, 0), count(counts.get(low, 0))) for low in lowers], width
    )


def with_gaps(lowers: Sequence[float]) -> list[float]:
    """Return the bounds with those of the empty buckets between them, which evidence omits.

    Without them, two adjacent rows could differ by a factor of a thousand.
    """
    every = [0.0, *(float(2**power) for power in range(40))]
    if not lowers or not set(lowers) <= set(every):
        return list(lowers)
    return [low for low in every if lowers[0] <= low <= lowers[-1]]


def range_of(lower_us: float) -> str:
    """``64`` → ``64 µs – 128 µs``."""
    return f"{duration(lower_us)} – {duration(lower_us * 2)}" if lower_us else "below 1 µs"


def wrapped(items: list[str], width: int, gap: str = "   ") -> list[str]:
    """Return the items side by side, wrapped over as many lines as necessary."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(gap) + len(item) <= width:
            lines[-1] += gap + item
        else:
            lines.append(item)
    return lines
