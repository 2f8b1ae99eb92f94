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

WALL_RUNNING, WALL_RUNNABLE, WALL_BLOCKED, WALL_STOPPED = 2, 17, 32, 49
"""Positions of the fields of the word that has the tasks by what they do. The run's phase is below
them."""
WALL_FIELDS = (WALL_RUNNING, WALL_RUNNABLE, WALL_BLOCKED, WALL_STOPPED)
"""The fields that count tasks, up to the next one."""
WALL_FIELD_SHIFT, WALL_FIELD_MASK = 32, 63
"""Where a task's unit has the position of its field."""
WALL_BEFORE, WALL_BEGUN, WALL_EXECED, WALL_ENDED = range(4)
"""The phases: the tasks are not known yet, they are, the command was executed, it has ended."""
WALL_PHASES = 4
WALL_IS_COMPUTING, WALL_IS_WAITING, WALL_IS_BLOCKED, WALL_IS_STOPPED = range(4)
WALL_IS_EMPTY, WALL_IS_UNKNOWN = 4, 5
"""The states. A scope that is empty has no task."""
WALL_STATES = 8
"""More than there are: a power of two."""
WALL_CELLS = WALL_PHASES * WALL_STATES
WALL_HEAD = 128
WALL_COUNTS = (
    *("adds", "unseen", "arrivals_ns", "unseen_ns", "displaced", "stuck"),
    *("left", "waking_ns"),
)
WALL_END, WALL_ENDS = 32, 64
"""The size of a row of what ended the time that the scope was blocked, and how many a CPU has."""
WALL_CPUS_OF = 16
"""How many rows a CPU has of the commands that it ran while the scope waited for it."""
WALL_THREADS, WALL_THREAD_TRIES, WALL_THREAD_REASONS = 4096, 4, 12
"""Threads of a scope that may be alive at once and have a row of what they were blocked in, a power
of two; how many places are tried for a row; and the reasons that fit into it."""
WALL_THREAD_ROW = 32 + 8 * WALL_THREAD_REASONS
WALL_THREAD_SHIFT = 54
"""Where a place of such a row has the reason, plus 1, above the ns: enough for 208 days."""
WALL_REPORT_WORDS = 32
WALL_REPORT = 8 * WALL_REPORT_WORDS
"""A task's summary and its row."""
WALL_DEFERRED = (2 * WALL_CELLS + 2 * WALL_PHASES + len(WALL_COUNTS) + 1) * 8
"""Where a CPU's row has what the word lacks of its changes."""
WALL_ROW = WALL_DEFERRED - 8 + 64

CONSTANTS = {
    "WAIT_STACKS": WAIT_STACKS,
    "WAIT_SITES": WAIT_SITES,
    "WAIT_SAMPLE_NS": WAIT_SAMPLE_NS,
    "WAIT_BURST": WAIT_BURST,
    "WAITS_SIZE": WAITS_SIZE,
    "WALL_RUNNING": WALL_RUNNING,
    "WALL_RUNNABLE": WALL_RUNNABLE,
    "WALL_BLOCKED": WALL_BLOCKED,
    "WALL_STOPPED": WALL_STOPPED,
    "WALL_FIELD_SHIFT": WALL_FIELD_SHIFT,
    "WALL_FIELD_MASK": WALL_FIELD_MASK,
    "WALL_BEFORE": WALL_BEFORE,
    "WALL_BEGUN": WALL_BEGUN,
    "WALL_EXECED": WALL_EXECED,
    "WALL_ENDED": WALL_ENDED,
    "WALL_PHASES": WALL_PHASES,
    "WALL_IS_COMPUTING": WALL_IS_COMPUTING,
    "WALL_IS_WAITING": WALL_IS_WAITING,
    "WALL_IS_BLOCKED": WALL_IS_BLOCKED,
    "WALL_IS_STOPPED": WALL_IS_STOPPED,
    "WALL_IS_EMPTY": WALL_IS_EMPTY,
    "WALL_IS_UNKNOWN": WALL_IS_UNKNOWN,
    "WALL_STATES": WALL_STATES,
    "WALL_CELLS": WALL_CELLS,
    "WALL_HEAD": WALL_HEAD,
    "WALL_ROW": WALL_ROW,
    "WALL_END": WALL_END,
    "WALL_ENDS": WALL_ENDS,
    "WALL_CPUS_OF": WALL_CPUS_OF,
    "WALL_THREADS": WALL_THREADS,
    "WALL_THREAD_TRIES": WALL_THREAD_TRIES,
    "WALL_THREAD_REASONS": WALL_THREAD_REASONS,
    "WALL_THREAD_ROW": WALL_THREAD_ROW,
    "WALL_THREAD_SHIFT": WALL_THREAD_SHIFT,
    "WALL_REPORT_WORDS": WALL_REPORT_WORDS,
    "WALL_REPORT": WALL_REPORT,
}
"""Passed to the compiler as ``-D`` constants."""
