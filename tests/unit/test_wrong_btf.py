"""BTF that libbpf accepts and that is wrong inside: a cause in words, and never an endless loop."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.needs import not_here

from agent.streams.compiler.btf import (
    KIND_ARRAY,
    KIND_CONST,
    KIND_ENUM,
    KIND_FUNC_PROTO,
    KIND_INT,
    KIND_PTR,
    KIND_STRUCT,
    KIND_TYPEDEF,
    KernelTypes,
)
from agent.streams.compiler.libbpf import load_library
from agent.streams.shared.causes import CannotCollect

STRINGS = b"\0int\0outer\0field\0btf_trace_event\0choice\0"
INTEGER = struct.pack("=IIII", 1, KIND_INT << 24, 4, 32)
NOWHERE = 999


def name(text: str) -> int:
    return STRINGS.index(b"\0" + text.encode() + b"\0") + 1


def btf(*types: bytes) -> bytes:
    """Return BTF with these types, numbered from 1, of which the first is an integer."""
    content = INTEGER + b"".join(types)
    sizes = (0, len(content), len(content), len(STRINGS))
    return struct.pack("=HBB5I", 0xEB9F, 1, 0, 24, *sizes) + content + STRINGS


def head(kind: int, type_: int, called: str | int = 0, items: int = 0) -> bytes:
    at = name(called) if isinstance(called, str) else called
    return struct.pack("=III", at, kind << 24 | items, type_)


def struct_of(type_: int, member: str | int = "field") -> bytes:
    """Return the struct ``outer`` with one member."""
    at = name(member) if isinstance(member, str) else member
    return head(KIND_STRUCT, 8, "outer", 1) + struct.pack("=III", at, type_, 0)


def array_of(type_: int) -> bytes:
    return head(KIND_ARRAY, 0) + struct.pack("=III", type_, 1, 2)


def place(types: KernelTypes) -> object:
    return types.place_of("outer", "field")


def arguments(types: KernelTypes) -> object:
    return types.argument_types("event")


def choice(types: KernelTypes) -> object:
    return types.has_enumerator("choice", "one")


@pytest.fixture
def of(tmp_path: Path) -> Callable[[bytes], KernelTypes]:
    """Return a function that has libbpf read BTF."""
    try:
        load_library()
    except CannotCollect as error:
        not_here(error.message)

    def read(content: bytes) -> KernelTypes:
        (tmp_path / "btf").write_bytes(content)
        return KernelTypes(tmp_path / "btf")

    return read


def test_what_is_right_is_read(of: Callable[[bytes], KernelTypes]) -> None:
    assert of(btf(struct_of(3), array_of(1))).place_of("outer", "field") == (0, 4, 8, False)


WRONG = {
    "a member of no type": (place, [struct_of(NOWHERE)]),
    "a member of no name": (place, [struct_of(1, NOWHERE)]),
    "a typedef of itself": (place, [struct_of(3), head(KIND_TYPEDEF, 3, "choice")]),
    "two that lead in a circle": (
        place,
        [struct_of(3), head(KIND_TYPEDEF, 4, "choice"), head(KIND_CONST, 3)],
    ),
    "an array of itself": (place, [struct_of(3), array_of(3)]),
    "an array of nothing": (place, [struct_of(3), array_of(NOWHERE)]),
    "a part of itself": (place, [struct_of(2, 0)]),
    "a tracepoint of no type": (arguments, [head(KIND_TYPEDEF, NOWHERE, "btf_trace_event")]),
    "a tracepoint that leads nowhere": (
        arguments,
        [head(KIND_TYPEDEF, 3, "btf_trace_event"), head(KIND_PTR, NOWHERE)],
    ),
    "an argument of no type": (
        arguments,
        [
            head(KIND_TYPEDEF, 3, "btf_trace_event"),
            head(KIND_PTR, 4),
            head(KIND_FUNC_PROTO, 0, 0, 2) + struct.pack("=IIII", 0, 1, 0, NOWHERE),
        ],
    ),
    "an enumerator of no name": (
        choice,
        [head(KIND_ENUM, 4, "choice", 1) + struct.pack("=II", NOWHERE, 0)],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_inside_is_a_cause(of: Callable[[bytes], KernelTypes], wrong: str) -> None:
    ask, types = WRONG[wrong]
    with pytest.raises(CannotCollect, match=r"btf is wrong inside|cannot parse") as raised:
        ask(of(btf(*types)))
    assert raised.value.code == "no_btf"
    assert "CONFIG_DEBUG_INFO_BTF" not in raised.value.message


def test_nothing_is_read_behind_a_type_that_has_no_items(
    of: Callable[[bytes], KernelTypes],
) -> None:
    """Its number of them may be anything, and what follows is another type, or nothing."""
    pointer = head(KIND_PTR, 1, 0, 0xFFFF)
    try:
        types = of(btf(struct_of(3), pointer))
    except CannotCollect:
        return  # a libbpf that looks
    assert types.place_of("outer", "field.field") is None
