"""The C files load each field of the kernel as its type, by the kernel's BTF, allows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import agent
from agent.sections.spec import BYTES, NUMBER, POINTER, Field
from agent.streams.shared import specs

PACKAGE = Path(agent.__path__[0])
SOURCES = [
    path
    for folder in ("streams/probes", "sections")
    for pattern in ("*.[ch]", "*/*.[ch]")
    for path in PACKAGE.joinpath(folder).glob(pattern)
    if "include" not in path.parts
]
FIELDS = {field.constant: field for field in specs.FIELDS}
BITS = {bit.constant for bit in specs.BITS}
ARGUMENTS = {argument.constant for argument in specs.ARGUMENTS}
LOADS = {
    "LOAD": NUMBER,
    "LOAD_SIGNED": NUMBER,
    "LOAD_REGISTER": NUMBER,
    "LOAD_LOW32": NUMBER,
    "SAVED_SYSCALL": NUMBER,
    "OF_CURRENT": NUMBER,
    "READ": NUMBER,
    "FOLLOW": POINTER,
    "LOAD64": BYTES,
    "OF_CURRENT64": BYTES,
}
"""The macros of kernel.h, and what the fields are that they may be used for."""


def code_of(path: Path) -> str:
    """Return a C file without its comments, and without the macros that it defines."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"^#define (?:[^\n]*\\\n)*[^\n]*\n", "", text, flags=re.MULTILINE)


def uses(macro: str) -> Iterator[tuple[str, str]]:
    """Return where a macro is used, and what its last argument is."""
    for path in SOURCES:
        code = code_of(path)
        for found in re.finditer(rf"\b{macro}\(", code):
            end, depth = found.end(), 1
            while depth:
                depth += {"(": 1, ")": -1}.get(code[end], 0)
                end += 1
            yield path.name, code[found.end() : end - 1].rsplit(",", 1)[-1].strip()


@pytest.mark.parametrize(("macro", "reads"), LOADS.items())
def test_each_field_is_loaded_as_what_it_is(macro: str, reads: str) -> None:
    found = list(uses(macro))
    assert found
    for file, last in found:
        field = FIELDS[last.split(" + ")[0]]
        assert field.reads == reads, f"{file}: {macro} of {last}"


def test_no_load_has_a_width_of_its_own_but_those_of_bits_and_bytes() -> None:
    assert {last for _, last in uses("LOAD8")} == BITS
    assert not [*uses("LOAD16"), *uses("LOAD32")]
    for path in SOURCES:
        if path.name != "kernel.h":
            assert "volatile u32 *)((" not in code_of(path)


def test_what_is_read_through_an_address_of_no_type_is_a_pointer_or_has_its_width() -> None:
    for file, last in uses("read_pointer"):
        if " + " in last:
            constant = last.rsplit(" + ", 1)[1]
            assert FIELDS[constant].reads == POINTER, f"{file}: {last}"


def test_arguments_of_tracepoints_are_taken_at_the_position_that_btf_says() -> None:
    """Those of iterators are those of ``struct bpf_iter__task``, which does not change."""
    for path in SOURCES:
        if path.name == "tasks.c":
            continue
        for position in re.findall(r"\bctx\[(\w+)\]", code_of(path)):
            assert position in ARGUMENTS, f"{path.name}: ctx[{position}]"


def test_every_field_and_argument_is_used() -> None:
    code = "\n".join(map(code_of, SOURCES)) + "\n".join(p.read_text() for p in SOURCES)
    for need in (*specs.FIELDS, *specs.ARGUMENTS):
        wanted = f"{need.constant}_SIZE" if need.constant == "PID_NUMBERS" else need.constant
        assert re.search(rf"\b{wanted}\b", code), need.constant


def test_a_number_says_how_many_bytes_it_needs() -> None:
    """So many as a shortened one could no longer hold: a time, an id, flags of 32 bits."""
    times: list[Field] = [field for field in specs.FIELDS if field.constant.endswith("_TIME")]
    assert all(field.at_least == 8 for field in times)
    assert {field.at_least for field in specs.FIELDS if field.reads == NUMBER} == {1, 4, 8}
