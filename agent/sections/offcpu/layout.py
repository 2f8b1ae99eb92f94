"""Constants shared by wait_functions.h and the Python side. Standard library only."""

WAIT_STACKS = 1_024
"""Distinct kernel stacks that a run can record; a power of two."""
WAIT_SITES = WAIT_STACKS + 1
STACK_DEPTH = 20
WAIT_SAMPLE_NS = 250_000
"""Average time between two stacks taken on one CPU (docs/decisions/0007-wait-functions.md)."""
WAIT_BURST = 64
"""Stacks that may be taken ahead of schedule."""
WAIT_FIELDS = ("due_ns", "refused")
WAITS_SIZE = WAIT_SITES * 16 + len(WAIT_FIELDS) * 8 + 32

CONSTANTS = {
    "WAIT_STACKS": WAIT_STACKS,
    "WAIT_SITES": WAIT_SITES,
    "WAIT_SAMPLE_NS": WAIT_SAMPLE_NS,
    "WAIT_BURST": WAIT_BURST,
    "WAITS_SIZE": WAITS_SIZE,
}
"""Passed to the compiler as ``-D`` constants."""
