"""Enumerators of anonymous enums, which libbpf cannot look up; and what it cannot load."""

import ctypes
import errno
import struct
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from agent.streams.compiler import btf as module
from agent.streams.compiler.btf import KIND_ENUM, KIND_INT, KernelTypes
from agent.streams.compiler.raw_btf import RawBtf
from agent.streams.shared.causes import CannotCollect

FLAGS = ("__RQF_STARTED", "__RQF_FLUSH_SEQ", "__RQF_IO_STAT")


def btf(*enums: Sequence[str]) -> bytes:
    """Return BTF (Documentation/bpf/btf.rst) with an integer before each anonymous enum."""
    strings, types = b"\0", b""
    for names in enums:
        types += struct.pack("=III", 0, KIND_INT << 24, 4) + struct.pack("=I", 32)
        types += struct.pack("=III", 0, KIND_ENUM << 24 | len(names), 4)
        for value, name in enumerate(names):
            types += struct.pack("=Ii", len(strings), value)
            strings += name.encode() + b"\0"
    header = struct.pack("=HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


@pytest.mark.parametrize(("name", "value"), [(name, i) for i, name in enumerate(FLAGS)])
def test_an_enumerator_has_its_value(name: str, value: int) -> None:
    assert RawBtf(btf(("other", "names"), FLAGS)).enumerator(name) == value


def test_a_name_that_is_no_enumerator_has_none() -> None:
    raw = RawBtf(btf(FLAGS))
    assert raw.enumerator("__RQF_FLUSH") is None
    assert raw.enumerator("FLUSH_SEQ") is None


def test_a_number_that_equals_the_names_offset_is_no_enumerator() -> None:
    """The name of the second enum is at the offset that the integers' 32 bits also look like."""
    padded = ("x" * 30, "wanted")
    content = btf(padded)
    assert content.count(struct.pack("=I", 32)) == 2
    assert RawBtf(content).enumerator("wanted") == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOMEM, "out_of_memory"), (errno.EMFILE, "too_many_files"), (errno.EINVAL, "no_btf")],
)
def test_a_limit_that_libbpf_met_is_not_taken_for_a_kernel_without_types(
    monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def load() -> None:
        ctypes.set_errno(number)

    library = SimpleNamespace(btf__load_vmlinux_btf=load)
    monkeypatch.setattr(module, "load_library", lambda: library)
    monkeypatch.setattr(module.kernel_files, "check_btf", lambda: None)
    with pytest.raises(CannotCollect) as raised:
        KernelTypes()
    assert raised.value.code == code
