"""The one place that touches the HdrHistogram library, which ships no type information."""

import zlib
from typing import Any, Protocol, cast

from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

LOWEST_NS = 1
HIGHEST_NS = 10**11
SIGNIFICANT_DIGITS = 3


class Hdr(Protocol):
    """What we use of ``hdrh.histogram.HdrHistogram``."""

    lowest_trackable_value: int
    highest_trackable_value: int
    significant_figures: int
    total_count: int
    max_value: int

    @property
    def counts(self) -> Any:
        """A ctypes array of unsigned 64-bit counts, one per bin."""

    def encode(self) -> bytes:
        """V2, zlib-compressed, base64."""


def new_hdr() -> Hdr:
    """An empty histogram of 1 ns to 100 s at three significant digits (28,672 bins, 224 KiB)."""
    return cast(Hdr, HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS))


def decode_hdr(encoded: str) -> Hdr:
    """The histogram in a V2 base64 string.

    Raises ValueError where the string is none, or its range or precision differ from ours.
    """
    try:
        hdr = cast(Hdr, HdrHistogram.decode(encoded.encode("ascii")))
    except (HdrCookieException, HdrLengthException, zlib.error, ValueError, IndexError) as error:
        raise ValueError(f"not an encoded HdrHistogram: {error!r}") from error
    found = (hdr.lowest_trackable_value, hdr.highest_trackable_value, hdr.significant_figures)
    if found != (LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS):
        raise ValueError(f"lowest, highest value and digits are {found}, not our range")
    return hdr
