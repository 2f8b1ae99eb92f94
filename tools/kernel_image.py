"""The BTF in a kernel's file, and why there is none: each reason in words of its own.

For tools/kernel_facts.py. Needs dpkg-deb for packages, and zstd or lz4 for kernels that it
compressed.
"""

import contextlib
import lzma
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

BTF_HEADER = struct.Struct("<HBB5I")
BTF_BEGINS = struct.pack("<HBBI", 0xEB9F, 1, 0, BTF_HEADER.size)
LEAST = 1 << 20
"""Bytes: a kernel is several times as large, and so is its BTF. What is smaller only began as they
do, or as compressed data does."""
VERSION = re.compile(rb"Linux version ([0-9][^ \0\n]*)")
BANNER = re.compile(VERSION.pattern + rb" [^\0\n]*\n\0")
"""The version as a kernel has it, unlike a text that mentions one (init/version.c)."""
ELF_SECTIONS = struct.Struct("<40xQ10xHH")
"""Where the table of sections is, the size of an entry, and how many there are (elf.h)."""
PE_HEADER = struct.Struct("<4s2xH12xH")
"""Magic, number of sections, size of the header that follows after two bytes (pe.h)."""
PE_SECTION = struct.Struct("<16xII16x")
"""Its size, and where it is."""
BOOT_SIZES = struct.Struct("<497xB2xI")
"""Sectors before the kernel, and its length in 16 bytes (Documentation/arch/x86/boot.rst)."""
BOOT_MAGIC_AT = 0x202
HEADS = ((BOOT_MAGIC_AT, b"HdrS"), (56, b"ARM\x64"), (4, b"zimg"))
"""By what a bootable image is known, and where (Documentation/arch/*/boot*, zboot-header.S)."""

WITHOUT = "no BTF in it: the kernel was built without CONFIG_DEBUG_INFO_BTF"
CUT = "it is cut short"
OTHER = f"{CUT}, or compressed in another way than by gzip, xz, zstd or lz4"


class NoFacts(Exception):
    """A file has no facts; the text says why."""


class Content(NamedTuple):
    """A kernel's file, or what a part of it decompressed to."""

    data: bytes
    failure: str = ""
    """Why it may not be all, in words; empty if it is."""
    missing: str = ""
    """The program that decompresses it, if that is not there."""


def btf_of(image: bytes) -> tuple[bytes, str]:
    """Return the BTF in a kernel's file, and the kernel's version. Raises NoFacts."""
    contents = []
    for content in _contents(image):
        btf = _btf_in(content.data)
        if btf is not None:
            version = VERSION.search(content.data)
            return btf, version[1].decode() if version else "of an unknown version"
        contents.append(content)
    raise NoFacts(_why_none(contents))


def _why_none(contents: list[Content]) -> str:
    """Return why there is no BTF in a file and in all that it contains; the file is first."""
    image, *inner = contents
    if any(map(_is_cut, contents)):
        return CUT
    kernels = [content for content in contents if BANNER.search(content.data)]
    if any(any(_ends(c.data)) or (c is not image and not c.failure) for c in kernels):
        return WITHOUT
    if missing := dict.fromkeys(content.missing for content in inner if content.missing):
        return (
            f"no kernel in it that can be decompressed without {' or '.join(missing)}: install it"
        )
    if failed := [c.failure for c in inner if c.failure and len(c.data) >= LEAST]:
        return f"{CUT} or damaged: {failed[0]}"
    if kernels:
        return f"{WITHOUT}, or {CUT}"
    if not image.data:
        return "it is empty"
    if any(image.data[at : at + len(magic)] == magic for at, magic in HEADS):
        said = "; ".join(dict.fromkeys(content.failure for content in inner if content.failure))
        return (
            f"it looks like a kernel image, but nothing in it can be decompressed: {said or OTHER}"
        )
    return "it is not a kernel image"


def _by(program: str, data: bytes) -> Content:
    # what follows the compressed data is reported as an error, after all of it was written
    command = [program, "-dcq"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    except FileNotFoundError:
        return Content(b"", f"{program} is not installed", missing=program)
    if done.returncode == 0:
        return Content(done.stdout)
    return Content(done.stdout, _words(program, done))


def _words(program: str, done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return what a program says of its failure, as one line that begins with its name."""
    lines = done.stderr.decode(errors="replace").replace("\r", "\n").splitlines()
    said = "; ".join(dict.fromkeys(line.strip() for line in lines if line.strip()))
    said = said or f"exit status {done.returncode}"
    return said if said.startswith(program) else f"{program}: {said}"


class Decompressor(Protocol):
    """A decompressor of the standard library."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _within(name: str, new: Callable[[], Decompressor], data: bytes) -> Content:
    decompressor = new()
    try:
        found = decompressor.decompress(data)
    except (zlib.error, lzma.LZMAError) as error:
        return Content(b"", f"{name}: {error}")
    return Content(found, "" if decompressor.eof else f"{name}: compressed data ends early")


COMPRESSIONS: dict[bytes, Callable[[bytes], Content]] = {
    b"\x1f\x8b\x08": partial(_within, "gzip", partial(zlib.decompressobj, 31)),
    b"\xfd7zXZ\0": partial(_within, "xz", lzma.LZMADecompressor),
    b"\x28\xb5\x2f\xfd": partial(_by, "zstd"),
    b"\x02\x21\x4c\x18": partial(_by, "lz4"),
}
"""By how compressed data begins (scripts/extract-vmlinux)."""


def _contents(image: bytes) -> Iterator[Content]:
    """Return the image, and whatever in it can be decompressed."""
    yield Content(image)
    for begins, decompress in COMPRESSIONS.items():
        for found in re.finditer(re.escape(begins), image):
            yield decompress(image[found.start() :])


def _btf_in(content: bytes) -> bytes | None:
    for at, size in _places_of_btf(content):
        if at + size <= len(content):
            return content[at : at + size]
    return None


def _places_of_btf(content: bytes) -> Iterator[tuple[int, int]]:
    """Return where BTF as large as a kernel's begins, and its size."""
    for found in re.finditer(re.escape(BTF_BEGINS), content):
        at = found.start()
        if at + BTF_HEADER.size > len(content):
            continue
        *_, types, types_size, strings, strings_size = BTF_HEADER.unpack_from(content, at)
        size = BTF_HEADER.size + strings + strings_size
        if types == 0 and types_size <= strings and size >= LEAST:
            yield at, size


def _ends(data: bytes) -> Iterator[int]:
    """Return how long a file is at least, by each header that it has of a kernel's."""
    with contextlib.suppress(struct.error):  # one that is shorter than its header
        if data.startswith(b"\x7fELF"):
            at, size, number = ELF_SECTIONS.unpack_from(data)
            yield at + size * number
        if data.startswith(b"MZ"):
            yield from _pe_sections(data)
        if data[BOOT_MAGIC_AT : BOOT_MAGIC_AT + 4] == b"HdrS":
            sectors, size = BOOT_SIZES.unpack_from(data)
            yield (1 + (sectors or 4)) * 512 + size * 16


def _pe_sections(data: bytes) -> Iterator[int]:
    """Return where each section of an EFI program ends."""
    (at,) = struct.unpack_from("<I", data, 0x3C)
    magic, number, optional = PE_HEADER.unpack_from(data, at)
    if magic == b"PE\0\0":
        for section in range(number):
            table = at + PE_HEADER.size + optional + 2
            yield sum(PE_SECTION.unpack_from(data, table + section * PE_SECTION.size))


def _is_cut(content: Content) -> bool:
    """Whether its BTF or its last part is certainly missing."""
    ends = [*_ends(content.data), *(at + size for at, size in _places_of_btf(content.data))]
    return max(ends, default=0) > len(content.data)


def image_in(package: Path) -> bytes:
    """Return the kernel in a Debian package. Raises NoFacts."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["dpkg-deb", "-x", str(package), folder]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            raise NoFacts("a package cannot be opened without dpkg-deb: install it") from None
        if done.returncode != 0:
            raise NoFacts(_words("dpkg-deb", done).replace(f"'{package}'", "the package"))
        images = sorted(Path(folder).glob("boot/vmlinu[xz]*"))
        images += sorted(Path(folder).glob("usr/lib/modules/*/vmlinuz"))
        if not images:
            raise NoFacts("no kernel in this package")
        return images[0].read_bytes()
