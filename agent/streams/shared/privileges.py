"""Drop privileges, and check which ones this process has. Standard library only, Linux only."""

import contextlib
import ctypes
import errno
import grp
import os
import pwd
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Optional, Union

CAP_SETGID, CAP_SETUID = 6, 7
CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39
LAST_CAPABILITY = 63

PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522

# systemd's range for dynamic users (systemd.exec(5)): no user in it outlives its service
DYNAMIC_UIDS = range(61184, 65520)

NO_ID = (1 << 32) - 1
"""-1 to setresuid(2) and setresgid(2): it stands for no user or group, and changes nothing."""
NOGROUP = 65_534
"""The group of files that are nobody's (DEFAULT_OVERFLOWGID in include/linux/highuid.h)."""

UID_MAP = Path("/proc/self/uid_map")

_libc = ctypes.CDLL(None, use_errno=True)


class NoUnusedUid(Exception):
    """Every uid of `DYNAMIC_UIDS` is taken; the text says so."""


class CannotDrop(Exception):
    """Privileges cannot be dropped; the text says why and what to do."""


def _prctl(option: int, *arguments: Union[int, bytes]) -> int:
    padded = [*arguments, *(0,) * (4 - len(arguments))]
    converted = (ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_ulong(a) for a in padded)
    return int(_libc.prctl(option, *converted))


def name_process(name: str) -> None:
    """Set the name that ``ps`` shows (15 bytes)."""
    _prctl(PR_SET_NAME, name.encode()[:15])


def hide_from_same_user() -> None:
    """Deny other processes of our own user ptrace and access to /proc/PID/fd."""
    _prctl(PR_SET_DUMPABLE, 0)


def effective_capabilities() -> int:
    """Return the effective capabilities of this process as a bit mask (capget(2))."""
    words = (ctypes.c_uint32 * 6)()
    if _libc.capget(_capability_header(), words) != 0:
        return 0
    effective_low, _, _, effective_high, _, _ = words
    return effective_low | effective_high << 32


def _capability_header() -> ctypes.Array[ctypes.c_uint32]:
    """Return struct __user_cap_header_struct for this process."""
    return (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)


def missing_to_load() -> str:
    """Return what this process lacks to load programs, as ``CAP_BPF is missing``; else nothing.

    That is CAP_BPF and CAP_PERFMON; CAP_SYS_ADMIN implies both.
    """
    have = effective_capabilities()
    needed = {"CAP_BPF": CAP_BPF, "CAP_PERFMON": CAP_PERFMON}
    lacking = [name for name, number in needed.items() if not have >> number & 1]
    if not lacking or have >> CAP_SYS_ADMIN & 1:
        return ""
    return f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"


def can_load_programs() -> bool:
    return not missing_to_load()


def uid_of(user: str) -> int:
    """Return the uid of a user given by name or number, which may have no account.

    Raises KeyError for an unknown name, and for what is no uid.
    """
    if not (user.isascii() and user.isdecimal()):
        return pwd.getpwnam(user).pw_uid
    if len(user) > len(str(NO_ID)) or int(user) >= NO_ID:
        raise KeyError(user)
    return int(user)


def gid_of(uid: int) -> int:
    """Return the primary group of a uid's account; without an account, a group without rights.

    That is the one with the same number, unless it has a name: such a group may own devices.
    """
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_gid
    with contextlib.suppress(KeyError):
        grp.getgrgid(uid)
        return NOGROUP
    return uid


def unused_uid() -> int:
    """Return a uid of the dynamic range that no process runs as, so that no other may signal us.

    Raises NoUnusedUid.
    """
    taken = {entry.pw_uid for entry in pwd.getpwall()} | _uids_of_processes()
    unused = [uid for uid in DYNAMIC_UIDS if uid not in taken]
    if not unused:
        raise NoUnusedUid("every uid for dynamic users is taken")
    # choose at random: another agent that starts at this moment sees the same unused uids
    return unused[int.from_bytes(os.urandom(4), "big") % len(unused)]


def _uids_of_processes() -> set[int]:
    """Return the uids of all processes that can be seen; none where there is no /proc."""
    uids: set[int] = set()
    try:
        processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        return uids
    for path in processes:
        try:
            uids.add(path.stat().st_uid)
        except OSError:
            continue  # gone
    return uids


def root_is_alone() -> bool:
    """Whether we are root of a user namespace without another user, as after ``unshare -Ur``.

    Outside, that is a user who is not root: one who may start an agent, and has no other user to
    serve as. ``uid_map`` has what its uid 0 is outside, and of how many that is true.
    """
    try:
        [row] = UID_MAP.read_bytes().splitlines()
        inside, outside, count = map(int, row.split())
    except (OSError, ValueError):  # ValueError: several rows, or what is no map
        return False
    return os.getuid() == 0 and (inside, count) == (0, 1) and outside != 0


def drop_everything(uid: Optional[int]) -> None:
    """Switch to ``uid`` (None: keep the current one) and drop all capabilities, for good.

    Everything must be imported before this: an interpreter in a private home directory cannot
    read its own library afterwards. Raises CannotDrop if the kernel refuses.
    """
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(LAST_CAPABILITY + 1):
        _prctl(PR_CAPBSET_DROP, capability)  # refused without CAP_SETPCAP; harmless then
    if uid is not None:
        _become(uid)
    if _libc.capset(_capability_header(), (ctypes.c_uint32 * 6)()) != 0:
        raise CannotDrop(f"cannot drop capabilities: {os.strerror(ctypes.get_errno())}")
    if _prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise CannotDrop(f"cannot set no_new_privs: {os.strerror(ctypes.get_errno())}")
    if effective_capabilities() != 0:
        raise CannotDrop("capabilities remain after dropping them")


def _become(uid: int) -> None:
    """Change user and group, and leave all other groups. Raises CannotDrop."""
    gid = gid_of(uid)
    steps: dict[str, Callable[[], None]] = {
        "setgroups": partial(os.setgroups, []),
        "setresgid": partial(os.setresgid, gid, gid, gid),
        "setresuid": partial(os.setresuid, uid, uid, uid),
    }
    have = effective_capabilities()
    for name, step in steps.items():
        try:
            step()
        except OSError as error:
            cure = _cure(error.errno, have)
            raise CannotDrop(f"cannot become uid {uid}: {name}: {error.strerror}{cure}") from error
    if (os.getresuid(), os.getresgid()) != ((uid,) * 3, (gid,) * 3):
        raise CannotDrop(f"cannot become uid {uid}: the kernel left user or group as they were")


def _cure(number: Optional[int], capabilities: int) -> str:
    """Return why a change of user failed, and what to do, as the rest of a sentence."""
    needed = {"CAP_SETGID": CAP_SETGID, "CAP_SETUID": CAP_SETUID}
    missing = [name for name, bit in needed.items() if not capabilities >> bit & 1]
    if missing:
        return (
            f": {' and '.join(missing)} missing, as after a container's --cap-drop. Grant what is "
            "missing, or start the agent as an ordinary user with CAP_BPF and CAP_PERFMON."
        )
    if number == errno.EINVAL:
        return (
            ": this user namespace has no such user (/proc/self/uid_map). Choose one that it has "
            "with --user."
        )
    if number == errno.EPERM:
        return (
            ": the user namespace forbids it (/proc/self/setgroups). Start the agent outside of "
            "it, or as an ordinary user."
        )
    return ""
