"""The vectorized bins equal the library's for every value; chunks hold what was given."""

import ctypes
import platform
import sys
import threading

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.fold import ALL_BITS, CHUNK, bin_bounds, bin_of, chunks, to_bins

REFERENCE = HdrHistogram(1, 10**11, 3)
HIGHEST_SLOT_VALUE = 2**37 - 1
"""The last value of the library's last bin for our range."""

near_powers_of_two = st.builds(
    lambda power, offset: min(max(2**power + offset, 0), HIGHEST_SLOT_VALUE),
    st.integers(0, 37),
    st.integers(-3, 3),
)
values = st.one_of(st.integers(0, HIGHEST_SLOT_VALUE), st.integers(0, 5000), near_powers_of_two)


def slots_of(numbers):
    return to_bins(np.array(numbers, np.uint64)).tolist()


def reference_slots(numbers):
    return [REFERENCE.get_counts_array_index(number) for number in numbers]


@given(st.lists(values, min_size=1, max_size=50))
def test_slots_are_the_librarys(numbers):
    assert slots_of(numbers) == reference_slots(numbers)


@given(values)
def test_one_slot_is_the_librarys(number):
    assert bin_of(number) == REFERENCE.get_counts_array_index(number)


def test_slots_around_every_power_of_two_and_every_small_value():
    edges = [2**k + d for k in range(11, 37) for d in (-2, -1, 0, 1, 2, 2 ** (k - 10) - 1)]
    numbers = [*range(2**13), *edges, HIGHEST_SLOT_VALUE - 1, HIGHEST_SLOT_VALUE]
    assert slots_of(numbers) == reference_slots(numbers)


def test_slots_at_both_ends_of_every_slot():
    bins = np.arange(REFERENCE.counts_len)
    lowest, width = bin_bounds(bins)
    assert to_bins(lowest.astype(np.uint64)).tolist() == bins.tolist()
    assert to_bins((lowest + width - 1).astype(np.uint64)).tolist() == bins.tolist()


def test_bounds_are_the_librarys():
    lowest, width = bin_bounds(np.arange(REFERENCE.counts_len))
    for index in range(0, REFERENCE.counts_len, 37):
        value = REFERENCE.get_value_from_index(index)
        assert lowest[index] == value
        assert lowest[index] + width[index] - 1 == REFERENCE.get_highest_equivalent_value(value)


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (0,),
        (1,),
        (CHUNK - 1,),
        (CHUNK,),
        (CHUNK + 1,),
        (2 * CHUNK + 3,),
        (0, 7),
        (300, 257),
        (3, CHUNK + 5),
        (2, 3, 5),
        (1, 1, 2 * CHUNK),
    ],
)
@pytest.mark.parametrize("mask", [ALL_BITS, 2**37 - 1, 0xFF])
def test_blocks_hold_every_masked_value_in_order(shape, mask):
    rng = np.random.default_rng(7)
    given_values = rng.integers(0, 2**64, shape, np.uint64)
    taken = [chunk.copy() for chunk in chunks(given_values, mask)]
    assert all(1 <= chunk.size <= CHUNK for chunk in taken)
    flat = np.concatenate([np.empty(0, np.uint64), *taken])
    assert flat.tolist() == (given_values.ravel() & np.uint64(mask)).tolist()


@pytest.mark.parametrize(
    "view",
    [
        lambda words: words[::3],
        lambda words: words[::-1],
        lambda words: words[: 257 * 300].reshape(300, 257)[:, 1:],
        lambda words: words.view(np.int64)[1::2],
        lambda words: np.frombuffer(words.tobytes()[4:-4], np.uint64),
    ],
    ids=["strided", "reversed", "rows", "signed", "read-only and shifted by half a word"],
)
def test_blocks_of_a_view_leave_it_as_it_was(view):
    words = np.random.default_rng(3).integers(0, 2**63, 3 * CHUNK, np.uint64)
    before = words.copy()
    seen = view(words)
    taken = []
    for chunk in chunks(seen):
        taken += chunk.tolist()
        chunk[:] = 0
    assert taken == seen.ravel().tolist()
    assert (words == before).all()


@pytest.mark.parametrize("element_type", ["u4", "i4", "f8", ">u8", "?", "O"])
def test_other_element_types_are_refused(element_type):
    with pytest.raises(TypeError, match="uint64 or int64"):
        next(chunks(np.zeros(3, element_type)))


def test_threads_do_not_share_their_scratch():
    mine = next(chunks(np.full(10, 1, np.uint64)))
    thread = threading.Thread(target=lambda: next(chunks(np.full(10, 2, np.uint64))))
    thread.start()
    thread.join()
    assert mine.tolist() == [1] * 10


FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040
MXCSR_OFFSET = 28  # in glibc's fenv_t for x86-64


@pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="sets the FPU's mode through the layout of glibc's fenv_t for x86-64",
)
def test_a_thread_whose_fpu_flushes_subnormals_is_refused():
    libm = ctypes.CDLL("libm.so.6")
    caught = []

    def fold_with_flushing():
        environment = ctypes.create_string_buffer(32)
        libm.fegetenv(environment)
        mxcsr = ctypes.c_uint32.from_buffer(environment, MXCSR_OFFSET)
        mxcsr.value |= FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO
        libm.fesetenv(environment)
        try:
            next(chunks(np.array([5], np.uint64)))
        except ArithmeticError as error:
            caught.append(error)

    thread = threading.Thread(target=fold_with_flushing)
    thread.start()
    thread.join()
    assert len(caught) == 1
