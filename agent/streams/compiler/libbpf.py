"""libbpf's functions for BTF, and the structures that it returns. Standard library only."""

import ctypes

from agent.streams.shared import limits
from agent.streams.shared.causes import cannot

LIBRARIES = ("libbcc_bpf.so.0", "libbpf.so.1", "libbpf.so.0")


class BtfType(ctypes.Structure):
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


class BtfMember(ctypes.Structure):
    """struct btf_member; a bit field's width is in the upper byte of ``offset``."""

    _fields_ = [
        ("name_off", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
    ]


class BtfArray(ctypes.Structure):
    """struct btf_array."""

    _fields_ = [
        ("type", ctypes.c_uint32),
        ("index_type", ctypes.c_uint32),
        ("nelems", ctypes.c_uint32),
    ]


class BtfParam(ctypes.Structure):
    """struct btf_param; struct btf_enum has the same shape."""

    _fields_ = [("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32)]


def load_library() -> ctypes.CDLL:
    """Load libbpf, as bcc brings it or another one. Raises CannotCollect."""
    said = []
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError as error:
            said.append(str(error))
            continue
        library.btf__load_vmlinux_btf.restype = ctypes.c_void_p
        library.btf__parse_raw.restype = ctypes.c_void_p
        library.btf__parse_raw.argtypes = [ctypes.c_char_p]
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
