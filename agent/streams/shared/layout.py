"""The numbers that the C programs and Python agree on, stated once.

They reach the C files as ``-D`` constants; ``layout.h`` asserts its own sizes against them when
it is compiled. Standard library only: the supervisor and the compiler import this module.
"""

from collections.abc import Collection
from dataclasses import dataclass

BATCH_WORDS = 256
"""Words (u64) of events in a batch: one ring record for 256 one-word events."""

STREAM_RUNQLAT, STREAM_BIOLATENCY, STREAM_EXEC, STREAM_EXIT = 0, 1, 2, 3
STREAM_NAMES = ("runqlat", "biolatency", "exec", "exit")
SUMMARY_WORDS = 16
STREAM_WORDS = (1, 4, 4, SUMMARY_WORDS)
"""Words of one event, by stream."""

LATENCY_BITS = 37
LATENCY_MAX = (1 << LATENCY_BITS) - 1
"""137 s in ns: a longer latency arrives as this, and counts as overflow of the histogram."""
LATENCY_UNKNOWN = (1 << 64) - 1
TID_BITS = 22
"""``pid_max`` cannot exceed 4,194,304 (PID_MAX_LIMIT, include/linux/threads.h)."""
EVENT_PREEMPTED_BIT = LATENCY_BITS + TID_BITS

SLOT_RUNNING, SLOT_RUNNABLE, SLOT_PREEMPTED, SLOT_INTERRUPTIBLE, SLOT_UNINTERRUPTIBLE = range(5)
SLOT_STOPPED, SLOT_EXITED = 5, 6
RUNTIME_UNKNOWN = (1 << 64) - 1
"""Not to be compared: a turn went unseen, or what the kernel had not added up yet as it exited."""
SLOT_STATE = 0xFF
SLOT_PRIMED = 0x100
SLOT_DEQUEUE_DELAYED = 0x200
"""Went to sleep and stayed on the run queue."""
SLOT_REMOTE = 0x400
"""Woken on another CPU than the one it is to run on."""
SLOT_REASON_SHIFT = 16

SYSCALLS = 512
SYSCALL_COMPAT = 510
SYSCALL_OTHER = 511
ENTRY_PRIMED = 0x80000000
"""Entered before the run began."""
ERRNOS = 256
"""Errors of exec that are told apart; the kernel's own table ends at 133."""

REASON_PAGE_FAULT = 512
REASON_KERNEL_THREAD = 513
REASON_COMPAT = 514
REASON_IO_WORKER = 515
REASON_UNKNOWN = 516
REASONS = 520
REASON_NAMES = {
    REASON_PAGE_FAULT: "page_fault",
    REASON_KERNEL_THREAD: "kernel_thread",
    REASON_COMPAT: "compat_syscall",
    REASON_IO_WORKER: "io_worker",
    REASON_UNKNOWN: "unknown",
}

BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_OTHER = range(5)
BLOCK_OPERATIONS = ("read", "write", "flush", "discard", "other")
BLOCK_OPERATION = 0x7
BLOCK_EMPTY = 0x8
"""Completion without bytes of a write that carried a flush (it completes twice)."""
BLOCK_UNISSUED = 0x10
"""Completed without having been issued, as flushes do: timed from its allocation."""
BLOCK_BY_KERNEL = 0x20
"""Submitted by a kernel thread, as write-back is."""
BLOCK_IN_FLIGHT = 0x40
"""Allocated and issued before the run began: counted, not timed."""

MAX_SLOTS = 65_536
SLOT_SIZE = 64
ORIGIN_SIZE = 40
SUMMARY_SIZE = 8 * SUMMARY_WORDS
BATCH_HEAD = 8
"""Where a batch's record begins; its first word is not part of it."""
RECORD_SIZE = 16 + 8 * BATCH_WORDS
"""Bytes of one record in the ring, without the kernel's own header."""
BATCH_LOST_OFFSET = BATCH_HEAD + RECORD_SIZE
BATCH_TAIL = ("lost", "unmatched", "clamped", "collided", "in_flight", "excluded")
BATCH_SIZE = BATCH_LOST_OFFSET + 8 * len(BATCH_TAIL) + 56
COUNTER_FIELDS = (
    "blocked_unmatched",
    "blocked_collided",
    "blocked_clamped",
    "wakeup_unseen",
    "forks",
    "all_forks",
    "exits",
    "members",
    "cgroup_moves",
    "partial",
    "excluded_syscalls",
    "execs_not_awaited",
)
COUNTERS_SIZE = 2 * REASONS * 16 + SYSCALLS * 8 + ERRNOS * 8 + len(COUNTER_FIELDS) * 8 + 32
CONFIG_SIZE = 32
REQUEST_SIZE = 24
ENTRY_SIZE = 16
DETAIL_FIELDS = (
    "syscalls_in_flight",
    "syscalls_unmatched",
    "syscalls_clamped",
    "syscalls_collided",
)
DETAILS_SIZE = SYSCALLS * 32 + len(DETAIL_FIELDS) * 8 + 32
MAX_REQUESTS = 16_384
"""Block requests under way at a time; a power of two."""
REQUEST_PROBES = 8
"""Places where one may be (docs/decisions/0008-requests-in-flight.md)."""
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

DEFAULT_RING_BYTES = 4 << 20
"""Half of it, where the reader is woken early, holds 250,000 events: a second at full load."""


SHARED_CONSTANTS = (
    "BATCH_WORDS",
    "BATCH_SIZE",
    "BATCH_LOST_OFFSET",
    "COUNTERS_SIZE",
    "SLOT_SIZE",
    "STREAM_RUNQLAT",
    "STREAM_BIOLATENCY",
    "STREAM_EXEC",
    "STREAM_EXIT",
    "SUMMARY_WORDS",
    "SUMMARY_SIZE",
    "ORIGIN_SIZE",
    "BATCH_HEAD",
    "RECORD_SIZE",
    "CONFIG_SIZE",
    "MAX_REQUESTS",
    "REQUEST_SIZE",
    "REQUEST_PROBES",
    "ENTRY_SIZE",
    "ENTRY_PRIMED",
    "ERRNOS",
    "DETAILS_SIZE",
    "WAIT_STACKS",
    "WAIT_SITES",
    "WAIT_SAMPLE_NS",
    "WAIT_BURST",
    "WAITS_SIZE",
    "SLOT_STOPPED",
    "SLOT_EXITED",
    "RUNTIME_UNKNOWN",
    "BLOCK_BY_KERNEL",
    "BLOCK_IN_FLIGHT",
    "LATENCY_BITS",
    "EVENT_PREEMPTED_BIT",
    "SLOT_RUNNING",
    "SLOT_RUNNABLE",
    "SLOT_PREEMPTED",
    "SLOT_INTERRUPTIBLE",
    "SLOT_UNINTERRUPTIBLE",
    "SLOT_STATE",
    "SLOT_PRIMED",
    "SLOT_DEQUEUE_DELAYED",
    "SLOT_REMOTE",
    "SLOT_REASON_SHIFT",
    "SYSCALLS",
    "SYSCALL_COMPAT",
    "SYSCALL_OTHER",
    "REASON_PAGE_FAULT",
    "REASON_KERNEL_THREAD",
    "REASON_COMPAT",
    "REASON_IO_WORKER",
    "REASON_UNKNOWN",
    "REASONS",
    "BLOCK_READ",
    "BLOCK_WRITE",
    "BLOCK_FLUSH",
    "BLOCK_DISCARD",
    "BLOCK_OTHER",
    "BLOCK_EMPTY",
    "BLOCK_UNISSUED",
)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes that depend on the machine; sent along with the map fds instead of asked for.

    Asking (``BPF_OBJ_GET_INFO_BY_FD``) is refused to an unprivileged process before 5.19.
    """

    cpus: int
    """Rows of per-CPU tables: possible CPUs, rounded up to a power of two."""
    slots: int
    members: int
    ring_bytes: int

    def map_sizes(self) -> dict[str, int]:
        """Bytes of the value of each directly addressed map."""
        return {
            "slots": self.slots * SLOT_SIZE,
            "origins": self.slots * ORIGIN_SIZE,
            "batches": self.cpus * len(STREAM_NAMES) * BATCH_SIZE,
            "counters": self.cpus * COUNTERS_SIZE,
            "members": self.members,
            "requests": MAX_REQUESTS * REQUEST_SIZE,
            "config": CONFIG_SIZE,
            "run_queues": self.cpus * 8,
        }

    def detail_sizes(self, details: Collection[str]) -> dict[str, int]:
        """Bytes of the value of each map that is only there for these details of a run."""
        sizes = {}
        if "syscalls" in details:
            sizes["entries"] = self.slots * ENTRY_SIZE
            sizes["details"] = self.cpus * DETAILS_SIZE
        if "wait_functions" in details:
            sizes["waits"] = self.cpus * WAITS_SIZE
            sizes["wait_sites"] = self.slots * 4
        return sizes

    def constants(self) -> dict[str, int]:
        """The ``-D`` constants of layout.h and kernel.h."""
        constants = {name: globals()[name] for name in SHARED_CONSTANTS}
        return constants | {
            "STREAMS": len(STREAM_NAMES),
            "LATENCY_MAX": LATENCY_MAX,
            "LATENCY_UNKNOWN": LATENCY_UNKNOWN,
            "CPU_MASK": self.cpus - 1,
            "SLOT_MASK": self.slots - 1,
            "MEMBER_MASK": self.members - 1,
            "RING_SIZE": self.ring_bytes,
        }


def power_of_two(at_least: int) -> int:
    """The smallest power of two that is not below ``at_least``."""
    return 1 << max(0, at_least - 1).bit_length()


def machine_geometry(
    possible_cpus: int, pid_max: int, ring_bytes: int = DEFAULT_RING_BYTES
) -> Geometry:
    """Sizes for this machine: a slot for each thread id while there are at most 65,536.

    ``pid_max`` may be raised at any time. Two tasks that share a slot tell themselves apart, those
    that shared a member's byte could not: so there is one for each id that there can ever be.
    """
    return Geometry(
        cpus=power_of_two(possible_cpus),
        slots=min(power_of_two(pid_max), MAX_SLOTS),
        members=1 << TID_BITS,
        ring_bytes=ring_bytes,
    )
