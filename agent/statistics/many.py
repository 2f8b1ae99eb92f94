"""Many tests at once."""

from collections.abc import Sequence


def adjusted(values: Sequence[float]) -> list[float]:
    """Return p values as they count among so many others (Benjamini, Hochberg 1995).

    Of those that are at most 0.05, one in twenty may be expected to be found by chance.
    """
    size = len(values)
    least, result = 1.0, [1.0] * size
    falling = sorted(range(size), key=lambda index: values[index], reverse=True)
    for rank, index in zip(range(size, 0, -1), falling, strict=True):
        least = min(least, values[index] * size / rank)
        result[index] = least
    return result
