"""The only module that uses the HdrHistogram library, which ships no type information."""

import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol, cast
from weakref import proxy

from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

LOWEST_NS = 1
HIGHEST_NS = 10**11
SIGNIFICANT_DIGITS = 3


class Hdr(Protocol):
    """The part of ``hdrh.histogram.HdrHistogram`` that we use."""

    lowest_trackable_value: int
    highest_trackable_value: int
    significant_figures: int
    total_count: int
    max_value: int

    @property
    def counts(self) -> Any:
        """A ctypes array of unsigned 64-bit counts, one per bin."""

    def encode(self) -> bytes:
        """Return the V2 encoding, zlib-compressed, in base64."""


def new_hdr() -> Hdr:
    """Return an empty histogram: 1 ns to 100 s, three significant digits (28,672 bins, 224 KiB)."""
    return _without_cycle(HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS))


def decode_hdr(encoded: str) -> Hdr:
    """Return the histogram in a V2 base64 string.

    Raises ValueError if the string is not one, or if its range or precision differs from ours.
    """
    try:
        hdr = _without_cycle(HdrHistogram.decode(encoded.encode("ascii")))
    except (HdrCookieException, HdrLengthException, zlib.error, ValueError, IndexError) as error:
        raise ValueError(f"not an encoded HdrHistogram: {error!r}") from error
    found = (hdr.lowest_trackable_value, hdr.highest_trackable_value, hdr.significant_figures)
    if found != (LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS):
        raise ValueError(f"lowest value, highest value and digits are {found}, not our range")
    return hdr


def _without_cycle(histogram: Any) -> Hdr:
    """Break the reference cycle, so that the histogram is freed with its last reference.

    The library's histogram and its encoder refer to each other. Only the garbage collector finds
    such a pair, and it counts objects, not the 224 KiB of counts.
    """
    histogram.encoder.histogram = proxy(histogram)
    return cast(Hdr, histogram)


def percentile_of_all(encoded: Sequence[str], percent: int) -> int | None:
    """Return the nearest-rank percentile, in ns, of the histograms of V2 base64 strings together.

    It is the middle of its bin, within 0.05 %; None if the histograms are empty. For processes that
    do without numpy. Raises ValueError as `decode_hdr` does.
    """
    whole: Any = new_hdr()
    for one in encoded:
        whole.add(decode_hdr(one))
    rank = max(1, -(-percent * whole.total_count // 100))
    reached = (index for index, seen in enumerate(accumulate(whole.counts)) if seen >= rank)
    if (index := next(reached, None)) is None:
        return None
    lowest = int(whole.get_value_from_index(index))
    return lowest + (int(whole.get_highest_equivalent_value(lowest)) - lowest) // 2
