"""Drop privileges, and check which ones this process has. Standard library only, Linux only."""

import ctypes
import os
import pwd
from pathlib import Path

CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39
LAST_CAPABILITY = 63

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME = 1, 4, 15
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522

# systemd's range for dynamic users (systemd.exec(5)): no user in it outlives its service
DYNAMIC_UIDS = range(61184, 65520)

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: int | bytes) -> int:
    padded = [*arguments, *(0,) * (4 - len(arguments))]
    converted = (ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_ulong(a) for a in padded)
    return int(_libc.prctl(option, *converted))


def name_process(name: str) -> None:
    """Set the name that ``ps`` shows (15 bytes)."""
    _prctl(PR_SET_NAME, name.encode()[:15])


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send us this signal when our parent exits."""
    _prctl(PR_SET_PDEATHSIG, signal_number)


def hide_from_same_user() -> None:
    """Deny other processes of our own user ptrace and access to /proc/PID/fd."""
    _prctl(PR_SET_DUMPABLE, 0)


def effective_capabilities() -> int:
    """Return the effective capabilities of this process as a bit mask."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def can_load_programs() -> bool:
    """Whether this process has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, which implies both."""
    have = effective_capabilities()
    both = 1 << CAP_BPF | 1 << CAP_PERFMON
    return have & both == both or bool(have >> CAP_SYS_ADMIN & 1)


def uid_of(user: str) -> int:
    """Return the uid of a user given by name or number. Raises KeyError for an unknown name."""
    return int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid


def unused_uid() -> int:
    """Return a uid of the dynamic range that no process runs as, so that no other may signal us.

    Raises LookupError if all are taken.
    """
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                taken.add(path.stat().st_uid)
            except OSError:
                continue
    unused = [uid for uid in DYNAMIC_UIDS if uid not in taken]
    if not unused:
        raise LookupError("every uid for dynamic users is taken")
    # choose at random: another agent that starts at this moment sees the same unused uids
    return unused[int.from_bytes(os.urandom(4), "big") % len(unused)]


def drop_everything(uid: int | None) -> None:
    """Switch to ``uid`` (None: keep the current one) and drop all capabilities, for good.

    Everything must be imported before this: an interpreter in a private home directory cannot
    read its own library afterwards. Raises OSError if the kernel refuses.
    """
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(LAST_CAPABILITY + 1):
        _prctl(PR_CAPBSET_DROP, capability)  # refused without CAP_SETPCAP; harmless then
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    empty = (ctypes.c_uint32 * 6)()
    if _libc.capset(header, empty) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")
    if _prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    if effective_capabilities() != 0:
        raise OSError(1, "capabilities remain after dropping them")
