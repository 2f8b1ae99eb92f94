"""Types of the running kernel, read through libbpf's BTF functions. Standard library only.

``libbcc_bpf.so.0`` comes with bcc and exports them. Looking up everything that is needed
takes 14 ms; parsing all of vmlinux's BTF in Python would take half a second.
"""

import ctypes
import struct
import sys
from collections.abc import Iterator
from typing import Optional

from agent.streams.shared import kernel_files, limits
from agent.streams.shared.causes import cannot

KIND_INT, KIND_PTR, KIND_STRUCT, KIND_UNION, KIND_ENUM = 1, 2, 4, 5, 6
KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_FUNC = 8, 9, 10, 11, 12
KIND_FUNC_PROTO, KIND_ENUM64 = 13, 19
_MODIFIERS = (KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, 18)

LIBRARIES = ("libbcc_bpf.so.0", "libbpf.so.1", "libbpf.so.0")


class _Type(ctypes.Structure):
    """struct btf_type (include/uapi/linux/btf.h)."""

    _fields_ = [
        ("name_off", ctypes.c_uint32),
        ("info", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
    ]

    @property
    def kind(self) -> int:
        return int(self.info >> 24) & 0x1F

    @property
    def count(self) -> int:
        return int(self.info) & 0xFFFF


class _Member(ctypes.Structure):
    """struct btf_member; a bit field's width is in the upper byte of ``offset``."""

    _fields_ = [
        ("name_off", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
    ]


class _Param(ctypes.Structure):
    """struct btf_param; struct btf_enum has the same shape."""

    _fields_ = [("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32)]


def _load_library() -> ctypes.CDLL:
    """Load libbpf, as bcc brings it or another one. Raises CannotCollect."""
    said = []
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError as error:
            said.append(str(error))
            continue
        library.btf__load_vmlinux_btf.restype = ctypes.c_void_p
        library.btf__find_by_name_kind.restype = ctypes.c_int32
        library.btf__find_by_name_kind.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_uint32,
        ]
        library.btf__type_by_id.restype = ctypes.c_void_p
        library.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        library.btf__name_by_offset.restype = ctypes.c_char_p
        library.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        return library
    text = "; ".join(said)
    raise limits.reached("loading libbpf", limits.reached_in(text)) or cannot("no_bcc", text)


class KernelTypes:
    """Lookups in vmlinux's BTF. Raises CannotCollect if it cannot be read."""

    def __init__(self) -> None:
        self._library = _load_library()
        ctypes.set_errno(0)
        self._btf = self._library.btf__load_vmlinux_btf()
        # libbpf before 1.0 returns an error pointer, later versions NULL
        if not self._btf or self._btf > (1 << 64) - 4096:
            limit = limits.reached(f"libbpf, reading {kernel_files.BTF}", ctypes.get_errno())
            if limit is not None:
                raise limit
            kernel_files.check_readable(kernel_files.BTF)
            raise cannot("no_btf", f"libbpf cannot parse {kernel_files.BTF}")
        self._raw: Optional[RawBtf] = None

    def type_id(self, name: str, kind: int) -> Optional[int]:
        """Return the id of a named type, or None."""
        found = self._library.btf__find_by_name_kind(self._btf, name.encode(), kind)
        return found if found > 0 else None

    def offset_of(self, struct: str, field: str) -> Optional[int]:
        """Return the offset in bytes of ``field`` or ``field.of.its``, or None.

        Fields of anonymous structs and unions are found as in C.
        """
        bits = self._position(struct, field)
        return None if bits is None else bits // 8

    def bit_of(self, struct: str, field: str) -> Optional[tuple[int, int]]:
        """Return where a bit field of one bit is: the offset of its byte, and its mask; or None."""
        bits = self._position(struct, field)
        if bits is None:
            return None
        place = bits % 8
        return bits // 8, 1 << (place if sys.byteorder == "little" else 7 - place)

    def _position(self, struct: str, field: str) -> Optional[int]:
        """Return the position in bits of ``field`` or ``field.of.its``, or None."""
        type_id = self.type_id(struct, KIND_STRUCT)
        bits = 0
        for name in field.split("."):
            found = None if type_id is None else self._member(type_id, name)
            if found is None:
                return None
            type_id, bits = found[0], bits + found[1]
        return bits

    def tracepoint_id(self, name: str) -> Optional[int]:
        """Return the type id for attaching to a BTF-typed raw tracepoint; None if there is none."""
        return self.type_id(f"btf_trace_{name}", KIND_TYPEDEF)

    def argument_position(self, tracepoint: str, type_name: str, nth: int) -> Optional[int]:
        """Return the position of the nth argument of a type (see spec.Argument), or None."""
        positions = [
            position
            for position, name in enumerate(self.argument_types(tracepoint))
            if name == type_name
        ]
        return positions[nth] if nth < len(positions) else None

    def argument_types(self, tracepoint: str) -> list[str]:
        """Return the type names of a tracepoint's arguments, or of what they point to."""
        type_id = self.tracepoint_id(tracepoint)
        if type_id is None:
            return []
        prototype = self._resolve(self._resolve(type_id)[1].type)
        # the first parameter is the tracepoint's own void *
        return [self._describe(p.type) for p in self._items(prototype[0], _Param)][1:]

    def has_enumerator(self, enum: str, name: str) -> bool:
        """Whether an enum has this enumerator. Used to find the kernel's helpers."""
        type_id = self.type_id(enum, KIND_ENUM)
        if type_id is None:
            return False
        return any(self._name(item.name_off) == name for item in self._items(type_id, _Param))

    def enumerator(self, name: str) -> Optional[int]:
        """Return the value of an enumerator of an enum that counts up from 0, or None.

        The enum may be anonymous, so libbpf cannot find it.
        """
        if self._raw is None:
            self._raw = RawBtf(kernel_files.BTF.read_bytes())
        return self._raw.enumerator(name)

    def _type(self, type_id: int) -> _Type:
        return _Type.from_address(self._library.btf__type_by_id(self._btf, type_id))

    def _name(self, offset: int) -> str:
        return str(self._library.btf__name_by_offset(self._btf, offset).decode())

    def _items(self, type_id: int, item: type[ctypes.Structure]) -> Iterator[ctypes.Structure]:
        address = self._library.btf__type_by_id(self._btf, type_id)
        count = self._type(type_id).count
        return iter((item * count).from_address(address + ctypes.sizeof(_Type)))

    def _resolve(self, type_id: int) -> tuple[int, _Type]:
        """Follow typedefs and qualifiers."""
        found = self._type(type_id)
        while found.kind in _MODIFIERS:
            type_id = found.type
            found = self._type(type_id)
        return type_id, found

    def _describe(self, type_id: int) -> str:
        found = self._resolve(type_id)[1]
        if found.kind == KIND_PTR:
            found = self._resolve(found.type)[1]
        return self._name(found.name_off)

    def _member(self, type_id: int, field: str) -> Optional[tuple[int, int]]:
        """Return the type id of a field and its position in bits, or None."""
        is_bitfield_struct = self._type(type_id).info >> 31
        for member in self._items(type_id, _Member):
            bits = member.offset & 0xFFFFFF if is_bitfield_struct else member.offset
            if self._name(member.name_off) == field:
                return self._resolve(member.type)[0], int(bits)
            inner_id, inner = self._resolve(member.type)
            if member.name_off == 0 and inner.kind in (KIND_STRUCT, KIND_UNION):
                nested = self._member(inner_id, field)
                if nested is not None:
                    return nested[0], int(bits) + nested[1]
        return None


class RawBtf:
    """BTF as the kernel stores it (Documentation/bpf/btf.rst), searched without parsing it all."""

    def __init__(self, content: bytes) -> None:
        (_, _, _, header, types, types_size, strings, strings_size) = struct.unpack_from(
            "=HBB5I", content
        )
        self._types = content[header + types : header + types + types_size]
        self._strings = content[header + strings : header + strings + strings_size]

    def enumerator(self, name: str) -> Optional[int]:
        """Return the value of an enumerator of an enum that counts up from 0, or None."""
        found = self._strings.find(b"\0" + name.encode() + b"\0")
        if found < 0:
            return None
        name_off = struct.pack("=I", found + 1)
        at = self._types.find(name_off)
        while at >= 0:
            if self._is_enumerator(at):
                return int(self._number(at + 4))
            at = self._types.find(name_off, at + 1)
        return None

    def _is_enumerator(self, at: int) -> bool:
        """Whether a struct btf_enum is here: then its value leads back to that of its enum.

        A struct btf_type begins with the name and the info, and ends 12 bytes further on.
        """
        if at % 4 or at + 8 > len(self._types):
            return False
        value = self._number(at + 4)
        head = at - 8 * value - 12
        if head < 0:
            return False
        info, size = self._number(head + 4), self._number(head + 8)
        return info >> 24 & 0x1F == KIND_ENUM and info & 0xFFFF > value and size == 4

    def _number(self, at: int) -> int:
        return int(struct.unpack_from("=I", self._types, at)[0])
