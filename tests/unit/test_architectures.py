"""Nothing is for one architecture alone without a reason: x86-64 and arm64 are both supported.

What needs an architecture's number is in a table by architecture; a table that lacks one of the
supported fails here, as does code that asks for a single one.
"""

import ast
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.imports import PACKAGE, SOURCES, module_name
from fakes.libseccomp import ARCHITECTURES

from agent.sections.probes import PROBES
from agent.sections.spec import Field
from agent.streams.drain import ordering
from agent.streams.shared.machines import ALIASES, MACHINES
from agent.streams.shared.plan import KNOWN_IN_C
from agent.streams.shared.specs import BASE_FIELDS
from agent.streams.shared.syscall_names import syscall_names

SUPPORTED = ("x86_64", "aarch64")

REGISTERS = {
    "x86_64": "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss",
    "aarch64": "regs sp pc pstate orig_x0 syscallno",
}
"""Fields of struct pt_regs (arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h)."""
OF_THREAD_INFO = {"x86_64": {"flags", "syscall_work", "status", "cpu"}, "aarch64": {"flags", "cpu"}}
"""Fields of struct thread_info (asm/thread_info.h)."""

OF_X86 = {
    "REGS_CX": "the SYSCALL instruction leaves its return address there; 32-bit entries do not",
    "REGS_IP": "what REGS_CX is compared with",
}
"""Constants without a counterpart elsewhere, and why nothing takes their place."""
WITHOUT_ON_ARM64 = {"poll": "there is only ppoll, which is not restarted through restart_syscall"}
"""Syscalls whose numbers the C files know on x86-64 only."""

NAMES = {
    "x86_64": {"x86_64", "x86-64", "amd64", "AMD64", "x86", "i386", "i686"},
    "aarch64": {"aarch64", "arm64", "armv8l"},
}
MACROS = {"x86_64": r"__x86_64__|__TARGET_ARCH_x86", "aarch64": r"__aarch64__|__TARGET_ARCH_arm64"}
C_FILES = sorted(path for suffix in ("c", "h") for path in PACKAGE.rglob(f"*.{suffix}"))


def named(node: ast.AST) -> set[str]:
    """Return the supported architectures that the strings directly in a node name."""
    strings = {n.value for n in ast.iter_child_nodes(node) if isinstance(n, ast.Constant)}
    return {machine for machine, names in NAMES.items() if names & strings}


def one_sided(source: str) -> Iterator[str]:
    """Yield the displays, calls and comparisons that name some of the supported, but not all."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.expr) and named(node) not in (set(), set(SUPPORTED)):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_what_names_one_architecture_names_the_other(path: Path) -> None:
    assert list(one_sided(path.read_text())) == []


def is_one_sided(text: str) -> bool:
    """Return whether C code has conditions for one of the supported only."""
    return len({bool(re.search(macro, text)) for macro in MACROS.values()}) > 1


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_a_condition_in_c_for_one_has_one_for_the_other(path: Path) -> None:
    assert not is_one_sided(path.read_text())


def test_a_condition_in_c_for_one_alone_is_noticed() -> None:
    assert is_one_sided("#if defined(__x86_64__)\n#endif\n")


@pytest.mark.parametrize(
    "source",
    [
        "SIZES = {'x86_64': 4096}",
        "SIZES = {'x86_64': 4096, 'riscv64': 4096}",
        "LITTLE = ('aarch64', 'riscv64')",
        "if machine() == 'x86_64': pass",
        "machine().startswith('arm64')",
    ],
)
def test_a_table_that_lacks_one_is_noticed(source: str) -> None:
    assert list(one_sided(source))


def test_the_tables_have_both() -> None:
    assert MACHINES.keys() >= set(SUPPORTED)
    assert set(ALIASES.values()) >= set(SUPPORTED)
    assert ARCHITECTURES.keys() >= set(SUPPORTED)
    for machine in SUPPORTED:
        assert len(syscall_names(machine)) > 300
        assert MACHINES[machine].compat_mark, "32-bit programs would have the names of other calls"


def test_syscalls_that_the_c_files_know_have_a_number() -> None:
    for machine in SUPPORTED:
        unknown = set(KNOWN_IN_C) - set(syscall_names(machine).values())
        assert unknown == (set(WITHOUT_ON_ARM64) if machine == "aarch64" else set())


@pytest.mark.parametrize("machine", SUPPORTED)
def test_loads_are_kept_in_order(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the machine itself or by a fence; a machine that needs one and has none fails loudly."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    loaded: list[str] = []
    monkeypatch.setattr(ordering.ctypes, "CDLL", loaded.append)
    ordering.acquire_fence()
    assert bool(loaded) != MACHINES[machine].strongly_ordered


def fields() -> Iterator[Field]:
    yield from BASE_FIELDS
    for probe in PROBES:
        yield from probe.fields
        for detail in probe.details:
            yield from getattr(detail, "fields", ())


def exists(machine: str, struct: str, name: str) -> bool:
    """Whether a path can exist on a machine; all structs but the two here are of every one."""
    if struct == "pt_regs":
        return name in REGISTERS[machine].split()
    if struct == "task_struct" and name.startswith("thread_info."):
        return name.partition(".")[2] in OF_THREAD_INFO[machine]
    return True


@pytest.mark.parametrize("machine", SUPPORTED)
def test_what_is_saved_on_entry_is_found_on_both(machine: str) -> None:
    missing = {f.constant for f in fields() if not any(exists(machine, *path) for path in f.paths)}
    assert missing == ({*OF_X86} if machine == "aarch64" else set())


def test_no_exception_is_left_over() -> None:
    assert {field.constant for field in fields()} >= OF_X86.keys()
    assert set(KNOWN_IN_C) >= WITHOUT_ON_ARM64.keys()
