"""Layouts shared by C and Python: the numpy types must match the structs in the C source.

The C side asserts its sizes at compile time, against the constants from layout.py.
"""

import re
from pathlib import Path

import numpy as np
import pytest

import agent
from agent.sections.biolatency.open_requests import REQUEST_DTYPE
from agent.sections.offcpu.wait_functions import WAITS_DTYPE
from agent.sections.offcpu.wall_tables import END_DTYPE, HEAD_DTYPE, ROW_DTYPE
from agent.sections.softirq.evidence import STATE_DTYPE
from agent.sections.syscall_counts.times import ENTRY_DTYPE, TIMES_DTYPE
from agent.streams.collect.tables import COUNTERS_DTYPE, SLOT_DTYPE
from agent.streams.collect.task_summaries import REPORT_DTYPE, SUMMARY_DTYPE, THREAD_ROW_DTYPE
from agent.streams.drain.batches import BATCH_DTYPE
from agent.streams.drain.folded import SUMS_DTYPE
from agent.streams.shared import layout
from agent.streams.shared.layout import Geometry, machine_geometry, power_of_two

PACKAGE = Path(agent.__path__[0])
SOURCES = (
    PACKAGE / "streams" / "probes" / "layout.h",
    *sorted(path for path in PACKAGE.glob("sections/*/*.[ch]")),
)
CODE = re.sub(r"/\*.*?\*/", "", "\n".join(s.read_text() for s in SOURCES), flags=re.DOTALL)

DTYPES = {
    "batch": BATCH_DTYPE,
    "folded_sums": SUMS_DTYPE,
    "cpu_counters": COUNTERS_DTYPE,
    "task_slot": SLOT_DTYPE,
    "task_summary": SUMMARY_DTYPE,
    "issued_request": REQUEST_DTYPE,
    "syscall_times": TIMES_DTYPE,
    "syscall_entry": ENTRY_DTYPE,
    "wait_counters": WAITS_DTYPE,
    "softirq_state": STATE_DTYPE,
    "wall_time": HEAD_DTYPE,
    "wall_row": ROW_DTYPE,
    "wall_end": END_DTYPE,
    "thread_row": THREAD_ROW_DTYPE,
    "thread_report": REPORT_DTYPE,
}

CONSTANTS = machine_geometry(2, 32_768).constants()
"""Constants as passed to the compiler."""

INTEGERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "s32": 4, "s64": 8, "char": 1}
Member = tuple[int, int]
"""Offset and size in bytes."""


def dimension(text: str) -> int:
    return int(text) if text.isdecimal() else CONSTANTS[text]


def structs() -> dict[str, dict[str, Member]]:
    """Return every struct of the C sources, as a C compiler lays it out without padding."""
    found: dict[str, dict[str, Member]] = {}
    for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", CODE, re.DOTALL | re.MULTILINE):
        members: dict[str, Member] = {}
        offset = 0
        for kind, member, dims in re.findall(r"(\w+) (\w+)((?:\[\w+\])*);", body):
            size = INTEGERS[kind] if kind in INTEGERS else size_of(found[kind])
            alignment = min(size, 8)
            assert offset % alignment == 0, f"{name}.{member} is padded"
            for text in re.findall(r"\w+", dims):
                size *= dimension(text)
            members[member] = (offset, size)
            offset += size
        found[name] = members
    return found


def size_of(members: dict[str, Member]) -> int:
    offset, size = list(members.values())[-1]
    return offset + size


@pytest.mark.parametrize("name", DTYPES)
def test_numpy_finds_each_field_where_c_puts_it(name: str) -> None:
    dtype, members = DTYPES[name], structs()[name]
    assert dtype.itemsize == size_of(members)
    assert dtype.fields is not None
    ours = {field: (offset, kind.itemsize) for field, (kind, offset, *_) in dtype.fields.items()}
    assert ours == {field: members.get(field) for field in ours}
    # cpu_counters.current_scope is not a count: one program leaves it there for another
    left_out = members.keys() - ours.keys() - {"padding", "current_scope"}
    assert not name.endswith(("_counters", "_times")) or not left_out, "counted but never read"


@pytest.mark.parametrize("name", DTYPES)
def test_c_asserts_its_size_when_it_is_compiled(name: str) -> None:
    asserted = re.search(rf"_Static_assert\(sizeof\(struct {name}\) == (\w+),", CODE)
    assert asserted is not None
    assert CONSTANTS[asserted[1]] == DTYPES[name].itemsize


def test_every_constant_that_c_wants_of_python_reaches_it() -> None:
    """Every name in capitals in layout.h is defined in the C sources or passed with -D."""
    code = re.sub(r"/\*.*?\*/", "", SOURCES[0].read_text(), flags=re.DOTALL)
    wanted = set(re.findall(r"\b[A-Z][A-Z0-9_]{3,}\b", code))
    defined = set(re.findall(r"#define (\w+)", CODE))
    assert wanted - defined - set(CONSTANTS) == set()


def test_a_batch_keeps_to_its_own_cache_lines() -> None:
    assert layout.BATCH_SIZE % 64 == 0
    assert layout.COUNTERS_SIZE % 64 == 0
    assert layout.SLOT_SIZE & (layout.SLOT_SIZE - 1) == 0, "a slot never spans two lines"


def test_a_whole_number_of_events_fills_a_batch() -> None:
    assert len(layout.STREAM_WORDS) == len(layout.STREAM_NAMES)
    assert all(layout.BATCH_WORDS % words == 0 for words in layout.STREAM_WORDS)
    # event_room() masks the index with BATCH_WORDS - words
    assert all(words & (words - 1) == 0 for words in (*layout.STREAM_WORDS, layout.BATCH_WORDS))


def test_the_parts_of_a_run_queue_event_fill_a_word_without_overlap() -> None:
    assert layout.LATENCY_MAX == 2**layout.LATENCY_BITS - 1
    assert layout.LATENCY_BITS + layout.TID_BITS == layout.EVENT_PREEMPTED_BIT
    assert layout.EVENT_PREEMPTED_BIT < 64
    assert 2**layout.TID_BITS >= 4_194_304, "PID_MAX_LIMIT"


@pytest.mark.parametrize(
    ("cpus", "pid_max", "slots"),
    [(1, 32_768, 32_768), (3, 4_194_304, 65_536), (2, 1_000, 1_024)],
)
def test_tables_are_powers_of_two_and_bounded(cpus: int, pid_max: int, slots: int) -> None:
    geometry = machine_geometry(cpus, pid_max)
    # pid_max may be raised later, so every possible thread id has its own byte in members
    members = 4_194_304
    assert geometry == Geometry(
        power_of_two(cpus), slots, members, geometry.ring_bytes, geometry.fold_tables
    )
    assert geometry.cpus >= cpus
    sizes = geometry.map_sizes()
    assert sizes["slots"] == slots * SLOT_DTYPE.itemsize
    assert sizes["counters"] == geometry.cpus * COUNTERS_DTYPE.itemsize
    assert sizes["batches"] == geometry.cpus * len(layout.STREAM_NAMES) * BATCH_DTYPE.itemsize


def test_the_mapped_sizes_hold_whole_rows() -> None:
    geometry = machine_geometry(2, 32_768)
    memory = bytes(geometry.map_sizes()["batches"])
    assert len(np.frombuffer(memory, BATCH_DTYPE)) == geometry.cpus * len(layout.STREAM_NAMES)
