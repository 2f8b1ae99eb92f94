"""Types of the running kernel, read through libbpf's BTF functions. Standard library only.

``libbcc_bpf.so.0`` comes with bcc and exports them. Looking up everything that is needed
takes 14 ms; parsing all of vmlinux's BTF in Python would take half a second.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from agent.streams.compiler.libbpf import BtfArray, BtfMember, BtfParam, BtfType, load_library
from agent.streams.compiler.raw_btf import RawBtf
from agent.streams.shared import kernel_files, limits
from agent.streams.shared.causes import CannotCollect

KIND_INT, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM = 1, 2, 3, 4, 5, 6
KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_FUNC = 8, 9, 10, 11, 12
KIND_FUNC_PROTO = 13
_MODIFIERS = (KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, 18)
_WITH_ITEMS = {BtfMember: (KIND_STRUCT, KIND_UNION), BtfParam: (KIND_ENUM, KIND_FUNC_PROTO)}
DEEPEST = 32
"""Types within or behind one another: the kernel's own limit (MAX_RESOLVE_DEPTH in btf.c)."""
_POINTER_SIZE = 8
"""All architectures with the tracepoint programs that the agent needs are 64-bit."""

NAMES_BY_CLANG = {"long": "long int", "unsigned long": "long unsigned int"}
"""Integers that a kernel built by clang names in another way than one built by gcc."""


class Place(NamedTuple):
    """Where a field lies in its struct, and what it is."""

    offset: int
    """In bytes."""
    size: int
    """In bytes; of one element, if it is an array; 0 for a bit field."""
    total: int
    """In bytes, with all elements; 0 for a flexible array."""
    is_pointer: bool = False


class _Found(NamedTuple):
    """A member that was found: its type, and its position and width in bits."""

    type_id: int
    position: int
    bits: int
    """Of a bit field; otherwise 0."""


class KernelTypes:
    """Lookups in a kernel's BTF, by default the running one's.

    Raises CannotCollect if it cannot be read. ``file``: another kernel's, as it stores it.
    """

    def __init__(self, file: Optional[Path] = None) -> None:
        self._library = load_library()
        self._file = file or kernel_files.BTF
        ctypes.set_errno(0)
        if file is None:
            self._btf = self._library.btf__load_vmlinux_btf()
        else:
            self._btf = self._library.btf__parse_raw(os.fsencode(file))
        # libbpf before 1.0 returns an error pointer, later versions NULL
        if not self._btf or self._btf > (1 << 64) - 4096:
            limit = limits.reached(f"libbpf, reading {self._file}", ctypes.get_errno())
            if limit is not None:
                raise limit
            if self._file == kernel_files.BTF:
                kernel_files.check_btf()
            raise self._unusable(f"libbpf cannot parse {self._file}")
        self._raw: Optional[RawBtf] = None
        self._enumerators: dict[str, frozenset[str]] = {}
        self._ids: dict[tuple[str, int], Optional[int]] = {}
        self._arguments: dict[str, list[str]] = {}
        self._members: dict[int, dict[str, _Found]] = {}

    def _unusable(self, detail: str) -> CannotCollect:
        """Return the cause for BTF that is there and wrong."""
        if self._file == kernel_files.BTF:
            return kernel_files.unparsed(detail)
        return CannotCollect(detail, code="no_btf")

    def _wrong(self, how: str) -> CannotCollect:
        return self._unusable(f"{self._file} is wrong inside: {how}")

    def type_id(self, name: str, kind: int) -> Optional[int]:
        """Return the id of a named type, or None."""
        if (name, kind) not in self._ids:  # libbpf looks through all types
            found = self._library.btf__find_by_name_kind(self._btf, name.encode(), kind)
            self._ids[name, kind] = found if found > 0 else None
        return self._ids[name, kind]

    def place_of(self, struct: str, field: str) -> Optional[Place]:
        """Return where ``field`` or ``field.of.its`` is, or None.

        Fields of anonymous structs and unions are found as in C.
        """
        found = self._find(struct, field)
        if found is None:
            return None
        type_id, type_ = self._resolve(found.type_id)
        element, total = self._sizes(type_id)
        size = 0 if found.bits else element
        return Place(found.position // 8, size, total, type_.kind == KIND_PTR)

    def bit_of(self, struct: str, field: str) -> Optional[tuple[int, int]]:
        """Return where a field that is true or false is: the offset of its byte, and its mask.

        None if there is no such field, or if it is a bit field of several bits.
        """
        found = self._find(struct, field)
        if found is None or found.bits > 1:
            return None
        if found.bits == 0:
            return found.position // 8, 0xFF
        place = found.position % 8
        return found.position // 8, 1 << (place if sys.byteorder == "little" else 7 - place)

    def size_of(self, name: str, kind: int) -> Optional[int]:
        """Return the size in bytes of a struct or union, or None."""
        type_id = self.type_id(name, kind)
        return None if type_id is None else self._sizes(type_id)[1]

    def _find(self, struct: str, field: str) -> Optional[_Found]:
        """Return ``field`` or ``field.of.its``, with its position in the struct; or None."""
        type_id = self.type_id(struct, KIND_STRUCT)
        position, found = 0, None
        for name in field.split("."):
            found = None if type_id is None else self._member(self._resolve(type_id)[0], name)
            if found is None:
                return None
            type_id, position = found.type_id, position + found.position
        return found and found._replace(position=position)

    def tracepoint_id(self, name: str) -> Optional[int]:
        """Return the type id for attaching to a BTF-typed raw tracepoint; None if there is none."""
        return self.type_id(f"btf_trace_{name}", KIND_TYPEDEF)

    def argument_types(self, tracepoint: str) -> list[str]:
        """Return the type names of a tracepoint's arguments, or of what they point to."""
        if tracepoint not in self._arguments:
            type_id = self.tracepoint_id(tracepoint)
            self._arguments[tracepoint] = [] if type_id is None else self._described(type_id)
        return self._arguments[tracepoint]

    def _described(self, type_id: int) -> list[str]:
        prototype = self._resolve(self._resolve(type_id)[1].type)
        # the first parameter is the tracepoint's own void *
        return [self._describe(p.type) for p in self._items(prototype[0], BtfParam)][1:]

    def has_enumerator(self, enum: str, name: str) -> bool:
        """Whether an enum has this enumerator. Used to find the kernel's helpers."""
        if enum not in self._enumerators:
            type_id = self.type_id(enum, KIND_ENUM)
            items = () if type_id is None else self._items(type_id, BtfParam)
            self._enumerators[enum] = frozenset(self._name(item.name_off) for item in items)
        return name in self._enumerators[enum]

    def enumerator(self, name: str) -> Optional[int]:
        """Return the value of an enumerator of an enum that counts up from 0, or None.

        The enum may be anonymous, so libbpf cannot find it.
        """
        if self._raw is None:
            self._raw = RawBtf(self._file.read_bytes())
        return self._raw.enumerator(name)

    def _address(self, type_id: int) -> int:
        address = self._library.btf__type_by_id(self._btf, type_id)
        if address is None:
            raise self._wrong(f"it has no type {type_id}")
        return int(address)

    def _type(self, type_id: int) -> BtfType:
        return BtfType.from_address(self._address(type_id))

    def _name(self, offset: int) -> str:
        name = self._library.btf__name_by_offset(self._btf, offset)
        if name is None:
            raise self._wrong(f"it has no name at {offset}")
        return str(name.decode(errors="replace"))

    def _items(self, type_id: int, item: type[ctypes.Structure]) -> Iterator[ctypes.Structure]:
        """Return what follows a type; nothing if that is of a kind without such items."""
        found = self._type(type_id)
        count = found.count if found.kind in _WITH_ITEMS[item] else 0
        return iter((item * count).from_address(self._address(type_id) + ctypes.sizeof(BtfType)))

    def _resolve(self, type_id: int) -> tuple[int, BtfType]:
        """Follow typedefs and qualifiers."""
        found = self._type(type_id)
        for _ in range(DEEPEST):
            if found.kind not in _MODIFIERS:
                return type_id, found
            type_id = found.type
            found = self._type(type_id)
        raise self._wrong(f"type {type_id} leads to itself")

    def _describe(self, type_id: int) -> str:
        found = self._resolve(type_id)[1]
        if found.kind == KIND_PTR:
            found = self._resolve(found.type)[1]
        name = self._name(found.name_off)
        return NAMES_BY_CLANG.get(name, name)

    def _sizes(self, type_id: int, depth: int = 0) -> tuple[int, int]:
        """Return the size of a type in bytes: of one element of an array, and in all."""
        self._check_depth(type_id, depth)
        type_id, found = self._resolve(type_id)
        if found.kind == KIND_PTR:
            return _POINTER_SIZE, _POINTER_SIZE
        if found.kind != KIND_ARRAY:
            return int(found.type), int(found.type)  # a union with the size
        array = BtfArray.from_address(self._address(type_id) + ctypes.sizeof(BtfType))
        element = self._sizes(array.type, depth + 1)[1]
        return element, element * int(array.nelems)

    def _member(self, type_id: int, field: str) -> Optional[_Found]:
        """Return a member of a struct or union, or of an anonymous one in it; or None."""
        if type_id not in self._members:
            self._members[type_id] = dict(self._all_members(type_id))
        return self._members[type_id].get(field)

    def _all_members(self, type_id: int, depth: int = 0) -> Iterator[tuple[str, _Found]]:
        self._check_depth(type_id, depth)
        has_bit_fields = self._type(type_id).info >> 31
        for member in self._items(type_id, BtfMember):
            position = int(member.offset & 0xFFFFFF if has_bit_fields else member.offset)
            if member.name_off != 0:
                bits = int(member.offset >> 24 if has_bit_fields else 0)
                yield self._name(member.name_off), _Found(int(member.type), position, bits)
                continue
            inner_id, inner = self._resolve(member.type)
            if inner.kind in (KIND_STRUCT, KIND_UNION):
                for name, nested in self._all_members(inner_id, depth + 1):
                    yield name, nested._replace(position=position + nested.position)

    def _check_depth(self, type_id: int, depth: int) -> None:
        if depth > DEEPEST:
            raise self._wrong(f"type {type_id} is part of itself")
