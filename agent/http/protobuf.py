"""The wire format of Protocol Buffers, as far as a metrics page needs it.

https://protobuf.dev/programming-guides/encoding/. The package ``protobuf`` would add several
megabytes to the serving process for the few messages of one page.
"""

import struct
from collections.abc import Iterable

_VARINT, _FIXED64, _LENGTH = 0, 1, 2
"""Wire types."""
_DOUBLE = struct.Struct("<d")


def varint(number: int) -> bytes:
    """Return an unsigned number, 7 bits at a time from the lowest, the last without a high bit."""
    return _SMALL[number] if number < len(_SMALL) else _varint(number)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL = tuple(_varint(number) for number in range(1024))
"""Most numbers of a page: lengths, numbers of fields, differences of counts."""


def zigzag(number: int) -> int:
    """Return the unsigned number that stands for a signed one: 0, -1, 1, -2, 2 are 0 to 4."""
    return 2 * number if number >= 0 else -2 * number - 1


def unsigned(field: int, number: int) -> bytes:
    return varint(field << 3 | _VARINT) + varint(number)


def signed(field: int, number: int) -> bytes:
    """Return a field of type sint32 or sint64."""
    return unsigned(field, zigzag(number))


def double(field: int, number: float) -> bytes:
    return varint(field << 3 | _FIXED64) + _DOUBLE.pack(number)


def message(field: int, *parts: bytes) -> bytes:
    """Return a field that is a message, or packed numbers, given its contents."""
    return varint(field << 3 | _LENGTH) + delimited(*parts)


def text(field: int, characters: str) -> bytes:
    """Return a string in UTF-8; lone surrogates become question marks."""
    return message(field, characters.encode("utf-8", "replace"))


def packed_signed(field: int, numbers: Iterable[int]) -> bytes:
    """Return a repeated field of type sint64, packed."""
    return message(field, *(varint(zigzag(number)) for number in numbers))


def delimited(*parts: bytes) -> bytes:
    """Return contents with their length in front."""
    contents = b"".join(parts)
    return varint(len(contents)) + contents
