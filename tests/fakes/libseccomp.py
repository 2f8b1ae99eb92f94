"""What libseccomp knows of system calls, on machines other than this one too."""

import ctypes
import ctypes.util

import pytest

# AUDIT_ARCH_* of include/uapi/linux/audit.h, which is what libseccomp calls a token. Without
# loongarch64, which it has from 2.6 on.
ARCHITECTURES = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "riscv64": 0xC00000F3,
    "ppc64le": 0xC0000015,
    "s390x": 0x80000016,
}


def libseccomp() -> ctypes.CDLL:
    """The library; skips the test where there is none."""
    path = ctypes.util.find_library("seccomp")
    if path is None:
        pytest.skip("no libseccomp")
    library = ctypes.CDLL(path)
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    return library


def name_of(library: ctypes.CDLL, machine: str, number: int) -> str | None:
    """The name of a syscall; None where the library knows none."""
    found = library.seccomp_syscall_resolve_num_arch(ARCHITECTURES[machine], number)
    return ctypes.string_at(found).decode() if found else None
