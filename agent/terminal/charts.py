"""Bar charts and columns in plain characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.terminal.values import count, duration, number
from agent.terminal.width import cells, cut, right

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"
SHORTEST_BAR = 4
"""With fewer columns, bars are left out."""
SHORTEST_LABEL = 4


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
    """Return the rows of a chart that is ``width`` columns wide.

    Where there is no room, the bars are left out first; then labels are cut.
    """
    if not bars:
        return []
    notes = max(cells(row.note) for row in bars)
    labels = min(max(cells(row.label) for row in bars), max(width - notes - 2, SHORTEST_LABEL))
    largest = max(row.size for row in bars)
    room = width - labels - notes - 4
    drawn = room if room >= SHORTEST_BAR else 0
    return [
        f"{right(cut(row.label, labels), labels)}  {right(row.note, notes)}"
        f"  {bar(row.size, largest, drawn)}".rstrip()
        for row in bars
    ]


def grid(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return a table, headers first: the first column flush right, as in a chart, like the others.

    Where it takes more than ``width`` columns, the last columns are left out as a whole.
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    shown = len(widths)
    while shown > 2 and sum(widths[:shown]) + 2 * (shown - 1) > width:
        shown -= 1
    return [
        "  ".join(
            right(cell, size) for cell, size in zip(row[:shown], widths, strict=False)
        ).rstrip()
        for row in rows
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
        if lines and cells(lines[-1]) + cells(gap) + cells(item) <= width:
            lines[-1] += gap + item
        else:
            lines.append(item)
    return lines
