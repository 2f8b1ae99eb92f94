"""Conversion of latencies to histogram bins, a chunk at a time.

The bins are HdrHistogram's (``_counts_index_for`` in the Python port, ``counts_index_for`` in
HdrHistogram_c) for a lowest value of 1 and three digits: each value below 2048 has its own bin,
and each power of two above is divided into 1024 bins.

    bin(v) = v                                            where v < 1024
    bin(v) = 1024 * (e - 9) + (v >> (e - 10)) - 1024      where 2**e <= v < 2**(e + 1)

The upper 22 bits of an IEEE 754 binary64 hold the same number once the exponent is shifted so that
the smallest normal number represents 1024: numbers below it are subnormal, hence linear, and from
there on ten bits of mantissa follow the exponent. So

    bin(v) = bits_of(v * 2**-1032) >> 42

exactly, for every v < 2**52, without a table or a branch. The product would cost a cast, and a
multiplication whose subnormal results are slow on some processors. An OR and a subtraction are
enough: v in the mantissa, with an exponent field of 43, reads as 2**-980 + v * 2**-1032, and
subtracting 2**-980 is exact. (This is the usual 2**52 trick for converting an integer to a double,
with a smaller exponent.)
"""

import threading
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Latencies: TypeAlias = NDArray[np.uint64] | NDArray[np.int64]

CHUNK = 32768
"""Values per chunk: 256 KiB, which stay in a second-level cache through all passes."""

ALL_BITS = 2**64 - 1

_LATENCY_TYPES = (np.dtype(np.uint64), np.dtype(np.int64))

# Zero-dimensional arrays: they cost a ufunc half the overhead of numpy's scalars, and overhead
# dominates the cost of a small batch.
_ORIGIN_BITS = np.array(43 << 52, np.uint64)
_ORIGIN = _ORIGIN_BITS.view(np.float64)
_SHIFT = np.array(42, np.int64)


class _Scratch(threading.local):
    """A scratch chunk, one for each thread that folds."""

    def __init__(self) -> None:
        self.chunk = np.empty(CHUNK, np.uint64)
        _refuse_flushed_subnormals()


def _refuse_flushed_subnormals() -> None:
    """Raise ArithmeticError if this thread's FPU treats subnormal numbers as zero.

    Libraries linked with ``-ffast-math`` enable that in any program that loads them.
    """
    if to_bins(np.array([1], np.uint64))[0] != 1:
        raise ArithmeticError(
            "a native library has set this thread's FPU to flush subnormal numbers to zero, "
            "so histogram bins would be wrong; do not load that library into this process"
        )


def chunks(values: Latencies, mask: int = ALL_BITS) -> Iterator[NDArray[np.uint64]]:
    """Yield ``values & mask``, in chunks of 1 to ``CHUNK`` values that the caller may overwrite.

    ``values`` may have any shape and strides and be read-only; negative ones read as 2**64 + v.
    A chunk is valid until the next one is requested. Raises TypeError for other element types.
    """
    if values.dtype not in _LATENCY_TYPES:
        raise TypeError(f"latencies must be uint64 or int64, not {values.dtype}")
    bits = np.array(mask, np.uint64)
    for piece in _pieces(values.view(np.uint64)):
        chunk = _scratch.chunk[: piece.size]
        np.bitwise_and(piece, bits, out=chunk.reshape(piece.shape))
        yield chunk


def _pieces(values: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    if values.size <= CHUNK:
        if values.size:
            yield values
        return
    row_size = values.size // len(values)
    if row_size > CHUNK:
        for row in values:
            yield from _pieces(row)
        return
    rows = CHUNK // row_size
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def to_bins(chunk: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Convert each value to its bin in place: the result shares the memory of ``chunk``.

    Values must be below 2**52; the caller checks for values beyond the histogram's bins.
    """
    np.bitwise_or(chunk, _ORIGIN_BITS, out=chunk)
    scaled = chunk.view(np.float64)
    np.subtract(scaled, _ORIGIN, out=scaled)
    bins = chunk.view(np.int64)
    np.right_shift(bins, _SHIFT, out=bins)
    return bins


def bin_of(value: int) -> int:
    """Return the bin of one value."""
    bucket = max(0, value.bit_length() - 11)
    return (bucket << 10) + (value >> bucket)


def bin_bounds(bins: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lowest value of each bin, and how many values share it (a power of two)."""
    bucket = np.maximum((bins >> 10) - 1, 0)
    return (bins - (bucket << 10)) << bucket, np.int64(1) << bucket


_scratch = _Scratch()
