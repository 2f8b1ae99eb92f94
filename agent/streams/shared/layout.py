"""Numbers shared by the C programs and the Python code, defined once.

The C files receive them as ``-D`` constants; ``layout.h`` asserts its own sizes against them at
compile time. Standard library only: the supervisor and the compiler import this module.
"""

from collections.abc import Collection
from dataclasses import dataclass

from agent.sections.probes import PROBES, details_of
from agent.sections.spec import Stream
from agent.sections.syscall_counts.layout import SYSCALLS

BATCH_WORDS = 256
"""Event words (u64) in a batch: one ring record for 256 one-word events."""

SUMMARY_WORDS = 16
STREAMS = (
    *(stream for probe in PROBES for stream in probe.streams),
    *(stream for probe in PROBES for detail in probe.details for stream in detail.streams),
    # one event for each exiting task, whichever sections are measured
    Stream("exit", SUMMARY_WORDS),
)
STREAM_NAMES = tuple(stream.name for stream in STREAMS)
STREAM_WORDS = tuple(stream.words for stream in STREAMS)
"""Words per event, by stream."""
STREAM_NUMBERS = {name: number for number, name in enumerate(STREAM_NAMES)}
STREAM_RUNQLAT = STREAM_NUMBERS["runqlat"]
"""Updated at every context switch, even if run-queue latency is not measured."""

DISTRIBUTIONS = tuple(
    (stream.name, distribution) for stream in STREAMS for distribution in stream.folded
)
"""Latencies that can be folded in the kernel, each with the name of its stream."""

LATENCY_BITS = 37
LATENCY_MAX = (1 << LATENCY_BITS) - 1
"""137 s in ns. Longer latencies are reported as this value and count as histogram overflow."""
LATENCY_UNKNOWN = (1 << 64) - 1
TID_BITS = 22
"""``pid_max`` cannot exceed 4,194,304 (PID_MAX_LIMIT, include/linux/threads.h)."""
EVENT_PREEMPTED_BIT = LATENCY_BITS + TID_BITS

SLOT_RUNNING, SLOT_RUNNABLE, SLOT_PREEMPTED, SLOT_INTERRUPTIBLE, SLOT_UNINTERRUPTIBLE = range(5)
SLOT_STOPPED, SLOT_EXITED, SLOT_ABSENT = 5, 6, 7
"""Stopped, frozen or traced; reported at its exit; not running yet, or no longer."""
RUNTIME_UNKNOWN = (1 << 64) - 1
"""The kernel's runtime is not comparable: of the turn that is open, the beginning is not known."""
SLOT_STATE = 0xFF
SLOT_PRIMED = 0x100
SLOT_DEQUEUE_DELAYED = 0x200
"""The task went to sleep but stayed on the run queue."""
SLOT_YIELDED = 0x400
"""Blocked, as a deadline task that gave the CPU away until its next period: no wakeup follows."""
SLOT_REASON_SHIFT = 16

ERRNOS = 256
"""Exec errors counted separately; the kernel's own table ends at 133."""

REASON_PAGE_FAULT = 512
REASON_KERNEL_THREAD = 513
REASON_COMPAT = 514
REASON_IO_WORKER = 515
REASON_UNKNOWN = 516
REASON_KILLED = 517
REASONS = 520
REASON_NAMES = {
    REASON_PAGE_FAULT: "page_fault",
    REASON_KERNEL_THREAD: "kernel_thread",
    REASON_COMPAT: "compat_syscall",
    REASON_IO_WORKER: "io_worker",
    REASON_UNKNOWN: "unknown",
    REASON_KILLED: "killed",
}

STOP_SIGNAL, STOP_TRACED, STOP_FROZEN = range(3)
"""In place of a reason in the tag of a stopped task."""
STOP_KINDS = 4
"""More than there are: a power of two."""

MAX_SLOTS = 65_536
SLOT_SIZE = 64
ORIGIN_SIZE = 48
RUN_QUEUE_SIZE = 64
SUMMARY_SIZE = 8 * SUMMARY_WORDS
IDENTITY_SIZE = 64
NO_UID = 0xFFFFFFFF
"""The uid that no user has (uid_valid() in include/linux/uidgid.h)."""
BATCH_HEAD = 8
"""Offset in bytes of a batch's record, which leaves out the batch's first word."""
RECORD_SIZE = 16 + 8 * BATCH_WORDS
"""Size of one ring record in bytes, without the kernel's own header."""
BATCH_LOST_OFFSET = BATCH_HEAD + RECORD_SIZE
BATCH_TAIL = ("lost", "unmatched", "clamped", "collided", "in_flight", "excluded", "folded")
BATCH_SIZE = BATCH_LOST_OFFSET + 8 * len(BATCH_TAIL) + 48
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
    "execs_not_awaited",
    "execs_refused",
    "seccomp_tasks",
    "io_uring_tasks",
)
COUNTERS_SIZE = (
    (2 * REASONS + STOP_KINDS) * 16 + SYSCALLS * 8 + ERRNOS * 8 + len(COUNTER_FIELDS) * 8 + 16
)
CONFIG_SIZE = 48

CGROUP_CHAIN = 32
"""Cgroups on the path to a scope that are known by id, from the root on."""
CGROUPS_KEPT = 16
"""Earlier ids of a scope that are kept while its cgroup is made anew again and again."""
CGROUPS_SIZE = 8 + CGROUP_CHAIN * (8 + 4) + 8 + CGROUPS_KEPT * 8

FOLD_BINS = 28_672
FOLD_HIGHEST = 10**11
"""The bins of an HdrHistogram from 1 ns to 100 s with three digits, as agent.aggregate has them."""
FOLD_TABLE_SIZE = 4 * FOLD_BINS
FOLD_SUMS_SIZE = 64
FOLD_TABLES = (8, 4, 2, 1)
"""How many CPUs may have a table of bins of their own; fewer where memory is short."""

RING_SIZES = (4 << 20, 2 << 20, 1 << 20)
"""Half of the largest, the level at which the reader is woken early, holds 250,000 events: one
second at full load. Smaller ones keep the maps of larger machines within MAPS_BYTES."""
MAPS_BYTES = 16_000_000
"""For all maps of a run, up to 64 CPUs."""
MAP_OVERHEAD = 4096
"""What the kernel adds to each map (array_map_mem_usage(): a page for struct bpf_array)."""


SHARED_CONSTANTS = (
    "BATCH_WORDS",
    "BATCH_SIZE",
    "BATCH_LOST_OFFSET",
    "COUNTERS_SIZE",
    "SLOT_SIZE",
    "SUMMARY_WORDS",
    "SUMMARY_SIZE",
    "ORIGIN_SIZE",
    "IDENTITY_SIZE",
    "NO_UID",
    "RUN_QUEUE_SIZE",
    "BATCH_HEAD",
    "RECORD_SIZE",
    "CONFIG_SIZE",
    "CGROUP_CHAIN",
    "CGROUPS_KEPT",
    "CGROUPS_SIZE",
    "FOLD_BINS",
    "FOLD_HIGHEST",
    "FOLD_TABLE_SIZE",
    "FOLD_SUMS_SIZE",
    "ERRNOS",
    "SLOT_STOPPED",
    "SLOT_EXITED",
    "SLOT_ABSENT",
    "RUNTIME_UNKNOWN",
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
    "SLOT_YIELDED",
    "SLOT_REASON_SHIFT",
    "REASON_PAGE_FAULT",
    "REASON_KERNEL_THREAD",
    "REASON_COMPAT",
    "REASON_IO_WORKER",
    "REASON_UNKNOWN",
    "REASON_KILLED",
    "REASONS",
    "STOP_SIGNAL",
    "STOP_TRACED",
    "STOP_FROZEN",
    "STOP_KINDS",
)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes that depend on the machine, sent along with the map fds.

    Before 5.19 an unprivileged process may not query them (``BPF_OBJ_GET_INFO_BY_FD``).
    """

    cpus: int
    """Rows of per-CPU tables: possible CPUs, rounded up to a power of two."""
    slots: int
    members: int
    ring_bytes: int
    fold_tables: int = FOLD_TABLES[0]
    """Most tables of bins that a distribution may have, a power of two (``tables_of_bins``)."""

    def map_sizes(self) -> dict[str, int]:
        """Return the value size in bytes of each directly addressed map."""
        return {
            "slots": self.slots * SLOT_SIZE,
            "origins": self.slots * ORIGIN_SIZE,
            "batches": self.cpus * len(STREAM_NAMES) * BATCH_SIZE,
            "counters": self.cpus * COUNTERS_SIZE,
            "members": self.members,
            "config": CONFIG_SIZE,
            "cgroups": CGROUPS_SIZE,
            "run_queues": self.cpus * RUN_QUEUE_SIZE,
            "folded_bins": sum(map(len, self.tables_of_bins())) * FOLD_TABLE_SIZE,
            "folded_sums": self.cpus * len(DISTRIBUTIONS) * FOLD_SUMS_SIZE,
            **{table.name: table.size(self) for probe in PROBES for table in probe.tables},
        }

    def tables_of_bins(self) -> list[range]:
        """Return the numbers of each distribution's tables.

        CPU n uses the n-th of them, modulo their number.
        """
        first, tables = 0, []
        for _, distribution in DISTRIBUTIONS:
            number = min(distribution.tables, self.fold_tables, self.cpus)
            tables.append(range(first, first + number))
            first += number
        return tables

    def maps_bytes(self) -> int:
        """Return the kernel memory of the maps of a run without details, with a ring."""
        tables = self.map_sizes().values()
        return sum(size + MAP_OVERHEAD for size in (*tables, self.ring_bytes))

    def detail_sizes(self, details: Collection[str]) -> dict[str, int]:
        """Return the value size in bytes of each map that only these details of a run need."""
        tables = (table for detail in details_of(details) for table in detail.tables)
        return {table.name: table.size(self) for table in tables}

    def constants(self) -> dict[str, int]:
        """Return the ``-D`` constants for layout.h, kernel.h and the sections."""
        constants = {name: globals()[name] for name in SHARED_CONSTANTS}
        for probe in PROBES:
            constants |= probe.constants
        return constants | {
            "STREAMS": len(STREAMS),
            **{f"STREAM_{name.upper()}": number for name, number in STREAM_NUMBERS.items()},
            "LATENCY_MAX": LATENCY_MAX,
            "LATENCY_UNKNOWN": LATENCY_UNKNOWN,
            "CPU_MASK": self.cpus - 1,
            "SLOT_MASK": self.slots - 1,
            "MEMBER_MASK": self.members - 1,
            "RING_SIZE": self.ring_bytes,
            **self._fold_constants(),
        }

    def _fold_constants(self) -> dict[str, int]:
        constants = {"FOLDS": len(DISTRIBUTIONS)}
        numbered = enumerate(zip(DISTRIBUTIONS, self.tables_of_bins(), strict=True))
        for number, ((_, distribution), tables) in numbered:
            name = f"FOLD_{distribution.name.upper()}"
            constants[name] = number
            constants[f"{name}_TABLE"] = tables.start
            constants[f"{name}_MASK"] = len(tables) - 1
        return constants


def power_of_two(at_least: int) -> int:
    """Return the smallest power of two that is not less than ``at_least``."""
    return 1 << max(0, at_least - 1).bit_length()


def machine_geometry(possible_cpus: int, pid_max: int, ring_bytes: int | None = None) -> Geometry:
    """Return the sizes for this machine: one slot per thread id, but at most 65,536 slots.

    ``pid_max`` may be raised at any time. Two tasks that share a slot can be told apart, but two
    tasks that shared a member byte could not, so every possible thread id has its own byte.

    If the maps would take more than MAPS_BYTES, the ring is smaller, then there are fewer tables
    of bins; the smallest of both may still be too large.
    """
    choices = [
        Geometry(
            cpus=power_of_two(possible_cpus),
            slots=min(power_of_two(pid_max), MAX_SLOTS),
            members=1 << TID_BITS,
            ring_bytes=size,
            fold_tables=tables,
        )
        for tables in FOLD_TABLES
        for size in ([ring_bytes] if ring_bytes else RING_SIZES)
    ]
    return next((g for g in choices if g.maps_bytes() <= MAPS_BYTES), choices[-1])
