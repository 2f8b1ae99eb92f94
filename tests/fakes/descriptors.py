"""The file descriptors that this process has open."""

import gc
import os


def open_fds() -> set[int]:
    """Return them, without those that only garbage still holds.

    An earlier test may have left some. They would be closed at any moment, during another test.
    """
    gc.collect()
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        return {int(name) for name in os.listdir(listing)} - {listing}
    finally:
        os.close(listing)
