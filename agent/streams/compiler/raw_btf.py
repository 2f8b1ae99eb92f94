"""Enumerators of a kernel's anonymous enums, which libbpf cannot find. Standard library only."""

import struct
from typing import Optional

KIND_ENUM = 6


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
