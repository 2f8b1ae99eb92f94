"""The numbers that wait_functions.h and the Python side agree on. Standard library only."""

WAIT_STACKS = 1_024
"""Different kernel stacks that a run can tell apart; a power of two."""
WAIT_SITES = WAIT_STACKS + 1
STACK_DEPTH = 20
WAIT_SAMPLE_NS = 250_000
"""On average between two stacks taken on one CPU (docs/decisions/0007-wait-functions.md)."""
WAIT_BURST = 64
"""Stacks that may be taken ahead of that."""
WAIT_FIELDS = ("due_ns", "refused")
WAITS_SIZE = WAIT_SITES * 16 + len(WAIT_FIELDS) * 8 + 32

CONSTANTS = {
    "WAIT_STACKS": WAIT_STACKS,
    "WAIT_SITES": WAIT_SITES,
    "WAIT_SAMPLE_NS": WAIT_SAMPLE_NS,
    "WAIT_BURST": WAIT_BURST,
    "WAITS_SIZE": WAITS_SIZE,
}
"""As ``-D`` constants."""
