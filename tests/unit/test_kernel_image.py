"""A file without a kernel's BTF: what is no kernel, cut short, not decompressed, or without it."""

import gzip
import lzma
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.kernel_facts import TOOL, tool

from agent.streams.shared.causes import CannotCollect
from tools.kernel_image import LEAST, NoFacts, btf_of

BANNER = b"\0Linux version 6.1.0-test (somebody@here) #1 SMP\n\0"
FILLING = bytes(range(256)) * (2 * LEAST // 256)
KERNEL = BANNER + FILLING
WITHOUT = "no BTF in it: the kernel was built without CONFIG_DEBUG_INFO_BTF"
ZSTD = b"\x28\xb5\x2f\xfd"
BOOTS = bytes(0x202) + b"HdrS" + bytes(100)


def elf(content: bytes) -> bytes:
    """Return an ELF file of which the table of sections, 3 of 64 bytes, is at the end."""
    at = 64 + len(content)
    head = b"\x7fELF" + bytes(36) + struct.pack("<Q10xHH2x", at, 64, 3)
    return head + content + bytes(192)


def efi(content: bytes) -> bytes:
    """Return an EFI program with one section."""
    at = 64 + 24 + 40
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<2xH12xH2x", 1, 0)
    return head + struct.pack("<16xII16x", len(content), at) + content


def bzimage(content: bytes) -> bytes:
    """Return a kernel for x86, with 4 sectors before the content, padded to 16 bytes."""
    content += bytes(-len(content) % 16)
    head = bytes(497) + struct.pack("<BHI", 4, 0, len(content) // 16)
    return (head.ljust(0x202, b"\0") + b"HdrS").ljust(5 * 512, b"\0") + content


def btf(size: int) -> bytes:
    sizes = (0, 8, 8, size)
    return struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, *sizes) + bytes(8 + size)


def why_none(image: bytes) -> str:
    with pytest.raises(NoFacts) as raised:
        btf_of(image)
    return str(raised.value)


@pytest.mark.parametrize(
    "image",
    [
        b"no kernel",
        b"[    0.0] Linux version 6.1.0-test (somebody@here)\n",
        b"\x1f\x8b\x08no kernel",
        gzip.compress(b"no kernel"),
        elf(FILLING),
        b"\x7fELF",
        b"MZ",
    ],
    ids=["text", "log", "gzip's beginning", "gzip", "ELF", "ELF's beginning", "MZ"],
)
def test_what_is_no_kernel(image: bytes) -> None:
    assert why_none(image) == "it is not a kernel image"


def test_an_empty_file() -> None:
    assert why_none(b"") == "it is empty"


@pytest.mark.parametrize(
    "image",
    [elf(KERNEL), efi(KERNEL), bzimage(gzip.compress(elf(KERNEL)))]
    + [packed(KERNEL) for packed in (gzip.compress, lzma.compress)],
    ids=["vmlinux", "EFI", "bzImage", "gzip", "xz"],
)
def test_a_whole_kernel_was_built_without_it(image: bytes) -> None:
    assert why_none(image) == WITHOUT


@pytest.mark.parametrize(
    "image",
    [
        elf(KERNEL),
        efi(KERNEL),
        bzimage(lzma.compress(elf(KERNEL))),
        btf(LEAST),
        elf(KERNEL + btf(LEAST)),
    ],
    ids=["vmlinux", "EFI", "bzImage", "BTF", "BTF in a vmlinux"],
)
def test_what_is_cut_short(image: bytes) -> None:
    assert why_none(image[: len(image) - 200]) == "it is cut short"


def test_compressed_data_that_end_too_early() -> None:
    noise = b"".join(struct.pack("<I", n * 2654435761 % 2**32) for n in range(LEAST))
    cut = gzip.compress(KERNEL + noise, 1)[:-200]
    assert why_none(cut) == "it is cut short or damaged: gzip: compressed data ends early"


def test_a_kernel_without_a_header_that_says_how_long_it_is() -> None:
    assert why_none(KERNEL) == f"{WITHOUT}, or it is cut short"


def test_the_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    told = "no kernel in it that can be decompressed without {}: install it"
    assert why_none(ZSTD + b"rest") == told.format("zstd")
    assert why_none(b"\x02\x21\x4c\x18rest" + ZSTD) == told.format("zstd or lz4")
    assert why_none(elf(KERNEL + ZSTD)) == WITHOUT  # it is there, without any of them


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'no luck' >&2; exit 1", "zstd: no luck"),
        ("echo 'zstd: one' >&2; echo two >&2; exit 1", "zstd: one; two"),
        ("exit 7", "zstd: exit status 7"),
    ],
)
def test_the_program_that_failed_is_named_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, told: str
) -> None:
    program = tmp_path / "zstd"
    program.write_text(f"#!/bin/sh\n/bin/cat >/dev/null; {script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    begins = "it looks like a kernel image, but nothing in it can be decompressed: "
    assert why_none(bzimage(ZSTD + b"rest")) == begins + told
    other = begins + "it is cut short, or compressed in another way than by gzip, xz, zstd or lz4"
    assert why_none(bzimage(b"rest")) == other


def test_btf_is_found_where_it_is() -> None:
    found = btf(LEAST)
    for image in (found, elf(KERNEL + found), bzimage(gzip.compress(KERNEL + found))):
        content, version = btf_of(image)
        assert content == found
        assert version == ("of an unknown version" if image is found else "6.1.0-test")


def told(file: Path, path: str) -> str:
    """Return what the tool says when it fails, with programs looked for in ``path``."""
    done = subprocess.run(
        [sys.executable, TOOL, file],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path},
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_each_failure_is_one_line_that_names_the_file_once(tmp_path: Path) -> None:
    package = tmp_path / "z.deb"
    package.write_text("no package")
    for file, why in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (package, "a package cannot be opened without dpkg-deb: install it"),
    ):
        assert told(file, path="/nonexistent") == f"{file}: {why}\n"


def test_btf_that_is_wrong_inside_is_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not that of the file that it was copied to."""

    def wrong(file: Path, version: str) -> str:
        raise CannotCollect(f"{file} is wrong inside: no type 7", code="no_btf")

    monkeypatch.setattr(tool, "facts_of", wrong)
    vmlinux = tmp_path / "z"
    vmlinux.write_bytes(btf(LEAST))
    monkeypatch.setattr(sys, "argv", ["kernel_facts", str(vmlinux)])
    assert tool.main() == 1
    assert capsys.readouterr().err == f"{vmlinux}: its BTF is wrong inside: no type 7\n"


def test_a_package_that_is_none_is_one_line(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dpkg-deb").write_text(
        "#!/bin/sh\necho \"dpkg-deb: error: '$2' is bad\" >&2; exit 2\n"
    )
    (programs / "dpkg-deb").chmod(0o755)
    package = tmp_path / "z.deb"
    package.touch()
    assert told(package, path=str(programs)) == f"{package}: dpkg-deb: error: the package is bad\n"


def test_where_nothing_can_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "text_of", lambda file: "facts")
    nowhere = tmp_path / "none" / "facts"
    monkeypatch.setattr(sys, "argv", ["kernel_facts", "vmlinux", "-o", str(nowhere)])
    assert tool.main() == 1
    assert capsys.readouterr().err == f"{nowhere}: No such file or directory\n"
