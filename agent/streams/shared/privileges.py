"""Drop privileges, and check which ones this process has. Standard library only, Linux only."""

import contextlib
import ctypes
import errno
import grp
import os
import pwd
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Optional, Union

CAP_SETGID, CAP_SETUID = 6, 7
CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39
LAST_CAPABILITY = 63
TO_LOAD = {"CAP_BPF": CAP_BPF, "CAP_PERFMON": CAP_PERFMON}
"""Capabilities needed to load programs."""

PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38
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


def missing_to_load() -> list[str]:
    """Return which of `TO_LOAD` this process lacks to load programs; CAP_SYS_ADMIN implies both."""
    have = effective_capabilities()
    lacking = [name for name, number in TO_LOAD.items() if not have >> number & 1]
    return [] if have >> CAP_SYS_ADMIN & 1 else lacking


def out_of_bounds(names: Iterable[str]) -> list[str]:
    """Return which of `TO_LOAD` no command that this process starts can get, not even as root.

    They are not in the bounding set (capabilities(7)), which children inherit. A capability that
    this kernel does not know, or of which a filter lets nobody ask, is not one of them.
    """
    return [name for name in names if _bounding_set_has(TO_LOAD[name]) is False]


def root_can_load() -> bool:
    """Whether root can load programs although the bounding set lacks some of `TO_LOAD`.

    CAP_SYS_ADMIN implies them.
    """
    return _bounding_set_has(CAP_SYS_ADMIN) is True


def _bounding_set_has(capability: int) -> Optional[bool]:
    """Return whether the bounding set has a capability; None if that is not known."""
    return {0: False, 1: True}.get(_prctl(PR_CAPBSET_READ, capability))


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
    serve as.
    """
    inside, outside = _only_uid()
    return os.getuid() == 0 == inside and outside != 0


def _only_uid() -> tuple[Optional[int], Optional[int]]:
    """Return the uid of a user namespace that has no other, and what it is outside of that.

    Both are None in a namespace with more, and where that is not known.
    """
    try:
        [row] = UID_MAP.read_bytes().splitlines()
        inside, outside, count = map(int, row.split())
    except (OSError, ValueError):  # ValueError: several rows, or what is no map
        return None, None
    return (inside, outside) if count == 1 else (None, None)


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
    if _only_uid()[0] == 0:
        return _cure_without_others()
    if number == errno.EINVAL:
        return (
            ": this user namespace has no such user (/proc/self/uid_map). Choose one that it has "
            "with --user."
        )
    if number == errno.EPERM:
        return (
            ": the user namespace forbids it (/proc/self/setgroups). Start the agent outside of "
            "it, or as a user of it who is not root."
        )
    return ""


def _cure_without_others() -> str:
    """Return the end of the sentence where root is the only user, as after ``unshare -Ur``."""
    only_root = f": this user namespace has no other user than root ({UID_MAP})"
    if root_is_alone():
        return f"{only_root}. Start the agent without --user: it then serves as that root."
    return (
        f"{only_root}, who is root outside of it too, and the agent does not serve as such. Start "
        "it outside of this namespace."
    )
