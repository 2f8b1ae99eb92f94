"""Constants shared by softirq.c and the Python side. Standard library only."""

VECTORS = (
    "hi",
    "timer",
    "net_tx",
    "net_rx",
    "block",
    "irq_poll",
    "tasklet",
    "sched",
    "hrtimer",
    "rcu",
)
"""Names by number (include/linux/interrupt.h; the order has not changed since 4.5)."""

SOFTIRQ_VECTORS = 16
"""As many as four bits can distinguish; the kernel has ten."""
SOFTIRQ_VECTOR_BITS = 4
SOFTIRQ_STATE_SIZE = 24

CONSTANTS = {
    "SOFTIRQ_VECTORS": SOFTIRQ_VECTORS,
    "SOFTIRQ_VECTOR_BITS": SOFTIRQ_VECTOR_BITS,
    "SOFTIRQ_STATE_SIZE": SOFTIRQ_STATE_SIZE,
}
"""Passed to the compiler as ``-D`` constants."""


def vector_name(number: int) -> str:
    """Return the vector's name, or ``vector_N`` for one that a later kernel may have added."""
    return VECTORS[number] if number < len(VECTORS) else f"vector_{number}"
