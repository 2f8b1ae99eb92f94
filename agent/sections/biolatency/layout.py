"""Constants shared by block.c and the Python side. Standard library only."""

BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_OTHER = range(5)
BLOCK_OPERATIONS = ("read", "write", "flush", "discard", "other")
BLOCK_OPERATION = 0x7
BLOCK_EMPTY = 0x8
"""The completion without data of a write that carried a flush; such a write completes twice."""
BLOCK_UNISSUED = 0x10
"""Completed without having been issued, as flushes may be: timed from allocation."""
BLOCK_BY_KERNEL = 0x20
"""Submitted by a kernel thread, such as write-back."""
BLOCK_IN_FLIGHT = 0x40
"""Allocated and issued before the run began: counted, not timed."""

BLOCK_NOT_TIMED = BLOCK_IN_FLIGHT | BLOCK_EMPTY
"""Requests with one of these flags are in no distribution, and in a scoped run neither are those
with BLOCK_BY_KERNEL."""

REQUEST_SIZE = 24
MAX_REQUESTS = 16_384
"""Block requests that can be in flight at a time; a power of two."""
REQUEST_PROBES = 8
"""Entries where a request may be stored (docs/decisions/0008-requests-in-flight.md)."""

CONSTANTS = {
    "BLOCK_READ": BLOCK_READ,
    "BLOCK_WRITE": BLOCK_WRITE,
    "BLOCK_FLUSH": BLOCK_FLUSH,
    "BLOCK_DISCARD": BLOCK_DISCARD,
    "BLOCK_OTHER": BLOCK_OTHER,
    "BLOCK_EMPTY": BLOCK_EMPTY,
    "BLOCK_UNISSUED": BLOCK_UNISSUED,
    "BLOCK_BY_KERNEL": BLOCK_BY_KERNEL,
    "BLOCK_IN_FLIGHT": BLOCK_IN_FLIGHT,
    "BLOCK_NOT_TIMED": BLOCK_NOT_TIMED,
    "REQUEST_SIZE": REQUEST_SIZE,
    "MAX_REQUESTS": MAX_REQUESTS,
    "REQUEST_PROBES": REQUEST_PROBES,
}
"""Passed to the compiler as ``-D`` constants."""
