"""Constants shared by syscalls.c, times.h and the Python side. Standard library only."""

COUNTED = ("futex", "fsync", "openat", "read", "write")
"""The syscalls that the contract names; ``/metrics`` sums the rest under ``other``."""

SYSCALLS = 512
"""Numbers counted separately; the last two are for the 32-bit table and for higher numbers."""
SYSCALL_COMPAT = 510
SYSCALL_OTHER = 511

ENTRY_SIZE = 16
ENTRY_PRIMED = 0x80000000
"""Entered before the run began."""
ENTRY_NEW = 0x40000000
"""A new task, which has not returned from the call that created it."""
TIMES_FIELDS = (
    "syscalls_in_flight",
    "syscalls_unmatched",
    "syscalls_clamped",
    "syscalls_collided",
)
TIMES_SIZE = SYSCALLS * 40 + len(TIMES_FIELDS) * 8 + 32

CONSTANTS = {
    "SYSCALLS": SYSCALLS,
    "SYSCALL_COMPAT": SYSCALL_COMPAT,
    "SYSCALL_OTHER": SYSCALL_OTHER,
    "ENTRY_SIZE": ENTRY_SIZE,
    "ENTRY_PRIMED": ENTRY_PRIMED,
    "ENTRY_NEW": ENTRY_NEW,
    "TIMES_SIZE": TIMES_SIZE,
}
"""Passed to the compiler as ``-D`` constants."""
