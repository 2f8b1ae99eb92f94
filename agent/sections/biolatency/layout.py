"""Constants shared by block.c and the Python side. Standard library only."""

BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_OTHER_READ, BLOCK_OTHER_WRITE = range(6)
BLOCK_OPERATIONS = ("read", "write", "flush", "discard", "other", "other")
BLOCK_STATISTICS = ("read", "write", "flush", "discard", "read", "write")
"""What /proc/diskstats counts each operation as, if it counts it (op_stat_group())."""
BLOCK_OPERATION = 0x7
BLOCK_EMPTY = 0x8
"""A write's completion without data: the end of a flush sequence, or of a flush by itself."""
BLOCK_UNISSUED = 0x10
"""Completed without having been issued, as flushes may be: timed from allocation."""
BLOCK_BY_KERNEL = 0x20
"""Submitted by a kernel thread, such as write-back."""
BLOCK_IN_FLIGHT = 0x40
"""Allocated and issued before the run began: counted, not timed."""
BLOCK_BY_UNKNOWN = 0x80
"""In flight when a scoped run began, so it is not known whether a task in scope submitted it."""
BLOCK_IN_DISKSTATS = 0x100
"""/proc/diskstats counts this completion."""
BLOCK_UNTIMED = 0x200
"""Neither its allocation nor its issue is known."""
BLOCK_ERRNO = 0x400
"""The error is an errno, not a blk_status_t."""
BLOCK_STACKED = 0x800
"""The disk lies on another one, which is measured as well; set when the event is folded."""
BLOCK_BIO = 0x1000
"""A bio on a disk that has no requests."""
BLOCK_ERROR_SHIFT = 13
BLOCK_ERROR = 0xFF << BLOCK_ERROR_SHIFT
"""The error of a request that failed."""

BLOCK_NOT_TIMED = BLOCK_IN_FLIGHT | BLOCK_EMPTY | BLOCK_UNTIMED | BLOCK_ERROR
"""Requests with one of these flags are in no distribution: those issued before the run or that
nothing can time, completions of a write without data, and requests that failed."""
BLOCK_NOT_TIMED_IN_SCOPE = BLOCK_NOT_TIMED | BLOCK_BY_KERNEL | BLOCK_BY_UNKNOWN
"""The same in a scoped run: it also leaves out what kernel threads submit, whoever wrote it."""

REQUEST_SIZE = 48
MAX_REQUESTS = 8_192
"""Block requests that can be in flight at a time; a power of two."""
REQUEST_PROBES = 8
"""Entries where a request may be stored (docs/decisions/0008-requests-in-flight.md)."""

CONSTANTS = {
    "BLOCK_READ": BLOCK_READ,
    "BLOCK_WRITE": BLOCK_WRITE,
    "BLOCK_FLUSH": BLOCK_FLUSH,
    "BLOCK_DISCARD": BLOCK_DISCARD,
    "BLOCK_OTHER_READ": BLOCK_OTHER_READ,
    "BLOCK_OTHER_WRITE": BLOCK_OTHER_WRITE,
    "BLOCK_OPERATION": BLOCK_OPERATION,
    "BLOCK_EMPTY": BLOCK_EMPTY,
    "BLOCK_UNISSUED": BLOCK_UNISSUED,
    "BLOCK_BY_KERNEL": BLOCK_BY_KERNEL,
    "BLOCK_IN_FLIGHT": BLOCK_IN_FLIGHT,
    "BLOCK_NOT_TIMED": BLOCK_NOT_TIMED,
    "BLOCK_NOT_TIMED_IN_SCOPE": BLOCK_NOT_TIMED_IN_SCOPE,
    "BLOCK_BY_UNKNOWN": BLOCK_BY_UNKNOWN,
    "BLOCK_IN_DISKSTATS": BLOCK_IN_DISKSTATS,
    "BLOCK_UNTIMED": BLOCK_UNTIMED,
    "BLOCK_ERRNO": BLOCK_ERRNO,
    "BLOCK_BIO": BLOCK_BIO,
    "BLOCK_ERROR_SHIFT": BLOCK_ERROR_SHIFT,
    "REQUEST_SIZE": REQUEST_SIZE,
    "MAX_REQUESTS": MAX_REQUESTS,
    "REQUEST_PROBES": REQUEST_PROBES,
}
"""Passed to the compiler as ``-D`` constants."""
