"""Run a command under a filter of system calls and without memory that is writable and executable.

``confine.py CALLS FAMILIES COMMAND...``: names of system calls, and numbers of address families,
with commas. Like systemd's filters, this one answers EPERM, and EAFNOSUPPORT for a family.
"""

import ctypes
import ctypes.util
import errno
import os
import sys

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
EQUAL = 4
FAMILIES = 64
"""More than there are (AF_MAX)."""
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
UNKNOWN = -1
"""What libseccomp says to a name that no architecture has (__NR_SCMP_ERROR)."""


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class Filter:
    """A filter that refuses what it does not allow, with this errno."""

    def __init__(self, refusal: int) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("seccomp"))
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(refusal)))

    def add(self, action: int, name: str, *comparisons: Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN:
            return
        array = (Comparison * len(comparisons))(*comparisons)
        done = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(comparisons), array
        )
        if done < 0 and -done != errno.EDOM:  # not a call of this architecture
            sys.exit(f"the filter does not take {name}: {os.strerror(-done)}")

    def load(self) -> None:
        if done := self._library.seccomp_load(self._context):
            sys.exit(f"the filter cannot be loaded: {os.strerror(-done)}")


def main() -> None:
    _, calls, families, *command = sys.argv
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        sys.stderr.write("PR_SET_MDWE is not on this kernel: memory is not restricted\n")
    allowed = [int(family) for family in families.split(",")]
    # two filters, of which the stricter answer counts, as systemd has them
    of_families = Filter(ALLOW)
    for family in set(range(FAMILIES)) - set(allowed):
        of_families.add(ERRNO | errno.EAFNOSUPPORT, "socket", Comparison(0, EQUAL, family, 0))
    of_calls = Filter(ERRNO | errno.EPERM)
    for name in calls.split(","):
        of_calls.add(ALLOW, name)
    of_families.load()
    of_calls.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
