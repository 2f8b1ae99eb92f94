"""Keeping loads in program order, from memory that the kernel writes."""

import ctypes
import platform
from collections.abc import Callable

from agent.streams.shared.machines import this_machine


def acquire_fence() -> Callable[[], object]:
    """Return the fence for between reading a position and reading (or releasing) what it covers.

    It orders earlier loads before later loads and stores. x86-64 and s390x do so by themselves;
    elsewhere the fence is libatomic's. Raises OSError if that library is needed and missing.

    Only Linux writes to memory of ours. Elsewhere this process does it itself (``--mock``), and a
    thread always sees its own stores.
    """
    machine = this_machine()
    is_ordered = machine is not None and machine.strongly_ordered
    if is_ordered or platform.system() != "Linux":
        return lambda: None
    library = ctypes.CDLL("libatomic.so.1")
    memory_order_acquire = 2
    return lambda: library.atomic_thread_fence(memory_order_acquire)
