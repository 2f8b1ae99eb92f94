"""System call names from libseccomp, for this and for other architectures."""

import ctypes
import ctypes.util

from fakes.needs import not_here

# AUDIT_ARCH_* of include/uapi/linux/audit.h, which libseccomp calls architecture tokens.
# loongarch64 is missing: libseccomp supports it only since 2.6.
ARCHITECTURES = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "riscv64": 0xC00000F3,
    "ppc64le": 0xC0000015,
    "s390x": 0x80000016,
}


def libseccomp() -> ctypes.CDLL:
    """Load the library; where it is not installed, skip the test, or fail it in CI."""
    path = ctypes.util.find_library("seccomp")
    if path is None:
        not_here("libseccomp is not installed")
    library = ctypes.CDLL(path)
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    return library


def name_of(library: ctypes.CDLL, machine: str, number: int) -> str | None:
    """Return the name of a syscall, or None if the library does not know its number."""
    found = library.seccomp_syscall_resolve_num_arch(ARCHITECTURES[machine], number)
    return ctypes.string_at(found).decode() if found else None
