"""Naming the function that a stack waits in, from a symbol table as the kernel shows it."""

from pathlib import Path

import pytest

from agent.streams.shared.support import Missing
from agent.streams.supervisor.wait_stacks import (
    HIDDEN,
    check_addresses,
    symbols,
    wait_function,
)

KALLSYMS = """\
ffffffff81000000 T _text
ffffffff81000100 T pipe_read
ffffffff81000100 T its_alias
ffffffff81000180 d some_data
ffffffff81000200 t futex_do_wait.isra.0
ffffffff81000300 T schedule
ffffffff81000400 r rodata
ffffffffc0000000 t in_a_module\t[module]
ffffffff81000250 t init_after_the_rest.cold
"""


@pytest.fixture
def kallsyms(tmp_path: Path) -> Path:
    path = tmp_path / "kallsyms"
    path.write_text(KALLSYMS)
    return path


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFFFFFFF81000100, "pipe_read"),
        (0xFFFFFFFF810001FF, "pipe_read"),
        (0xFFFFFFFF81000200, "futex_do_wait"),
        (0xFFFFFFFF810002FF, "init_after_the_rest"),
        (0xFFFFFFFF81000FFF, "schedule"),
        (0xFFFFFFFFC0000010, "in_a_module"),
        (0x1000, "unknown"),
    ],
)
def test_an_address_belongs_to_the_nearest_function_before_it(
    kallsyms: Path, address: int, name: str
) -> None:
    assert symbols([address], kallsyms) == {address: name}


def test_many_addresses_are_found_in_one_pass(kallsyms: Path) -> None:
    found = symbols(range(0xFFFFFFFF81000100, 0xFFFFFFFF81000310), kallsyms)
    assert [found[0xFFFFFFFF81000000 + offset] for offset in (0x150, 0x210, 0x24F, 0x250)] == [
        "pipe_read",
        "futex_do_wait",
        "futex_do_wait",
        "init_after_the_rest",
    ]
    assert symbols([], kallsyms) == {}


TRACING = ["bpf_prog_1234_on_sched_switch", "bpf_trace_run4", "__traceiter_sched_switch"]


@pytest.mark.parametrize(
    ("stack", "function"),
    [
        ([*TRACING, "__schedule", "schedule", "pipe_read", "vfs_read"], "pipe_read"),
        (["__schedule", "schedule", "io_schedule", "folio_wait_bit_common"], "io_schedule"),
        (["__schedule", "schedule", "schedule_timeout", "unix_wait"], "unix_wait"),
        (["__schedule", "schedule", "io_schedule_timeout", "balance"], "balance"),
        (["__schedule", "schedule_preempt_disabled", "__mutex_lock"], "__mutex_lock"),
        (["__schedule", "__schedule_loop", "schedule_hrtimeout_range", "ep_poll"], "ep_poll"),
        (["__schedule", "schedule"], "unknown"),
        (["schedule_nothing_known"], "unknown"),
        ([], "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_scheduler_says_nothing_of_what_is_waited_for(stack: list[str], function: str) -> None:
    assert wait_function(stack) == function


def why_hidden(kallsyms: Path) -> str:
    with pytest.raises(Missing) as raised:
        check_addresses(kallsyms)
    return str(raised.value)


def test_hidden_addresses_differ_from_a_missing_and_a_masked_file(kallsyms: Path) -> None:
    check_addresses(kallsyms)
    kallsyms.write_text("0000000000000000 T _text\n")
    assert why_hidden(kallsyms) == HIDDEN
    kallsyms.write_text("ffffffff81000180 d some_data\n")
    assert why_hidden(kallsyms) == HIDDEN
    kallsyms.write_text("")
    assert "mounted over it" in why_hidden(kallsyms)
    missing = kallsyms.parent / "missing"
    assert f"{missing}: No such file or directory" in why_hidden(missing)


@pytest.mark.parametrize(
    "other", [b"\x89\xff\n" * 3, b"\0" * 10_000, b"zz T _text\n", b"\n", b"ffffffff81000000\n"]
)
def test_what_is_not_a_symbol_list_is_reported_as_that(kallsyms: Path, other: bytes) -> None:
    kallsyms.write_bytes(other + KALLSYMS.encode())
    assert "is not a symbol list: something else is mounted over it" in why_hidden(kallsyms)


def test_a_line_that_is_no_symbol_costs_no_other(kallsyms: Path) -> None:
    kallsyms.write_bytes(KALLSYMS.encode() + b"\x89\xff\nzz T no_address\n\nffff\n")
    check_addresses(kallsyms)
    assert symbols([0xFFFFFFFF81000100], kallsyms) == {0xFFFFFFFF81000100: "pipe_read"}


def test_a_file_that_is_covered_is_no_missing_proc(tmp_path: Path) -> None:
    class Covered(type(tmp_path)):  # type: ignore[misc]
        def open(self, *arguments: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied")

    told = why_hidden(Covered(tmp_path / "kallsyms"))
    assert "ProtectKernelTunables=yes" in told
    assert "ProcSubset" not in told


def test_variables_relative_to_a_cpus_memory_do_not_count_as_hidden(kallsyms: Path) -> None:
    """The first symbols of x86 before 6.18."""
    variables = "".join(f"{offset:016x} A per_cpu_{offset}\n" for offset in range(0, 2048, 8))
    kallsyms.write_text(variables + KALLSYMS)
    check_addresses(kallsyms)
    kallsyms.write_text(variables + "0000000000000000 T _text\n0000000000000000 t pipe_read\n")
    assert why_hidden(kallsyms) == HIDDEN
