"""The user that a command runs as, if that is not the one who measures it (``--user``)."""

import contextlib
import os
from collections.abc import Mapping
from typing import NamedTuple

LARGEST_UID = 2**32 - 2
"""The number after it stands for no user (uid_valid() in include/linux/uidgid.h)."""
NOGROUP = 65534
SHELL = "/bin/sh"


class User(NamedTuple):
    """A user with all its groups, of which ``gid`` is the primary one."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    def environment(self, callers: Mapping[str, str]) -> dict[str, str]:
        """Return the caller's environment with what login(1) sets for a user."""
        own = {"HOME": self.home, "SHELL": self.shell, "USER": self.name, "LOGNAME": self.name}
        return {**callers, **own}


def user_of(text: str) -> User:
    """Return a user by name or number; the number need not have an account.

    Raises ValueError for a name without an account, and for what is no uid.
    """
    import pwd  # most runs do not need it

    is_number = text.isascii() and text.isdecimal()
    if is_number and (len(text) > len(str(LARGEST_UID)) or int(text) > LARGEST_UID):
        raise ValueError("that is no uid")
    try:
        found = pwd.getpwuid(int(text)) if is_number else pwd.getpwnam(text)
    except (KeyError, ValueError):  # ValueError: a NUL in the name
        if is_number:
            return _without_account(int(text))
        raise ValueError("there is no such user") from None
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    home, shell = found.pw_dir or "/", found.pw_shell or SHELL
    return User(found.pw_name, found.pw_uid, found.pw_gid, groups, home, shell)


def _without_account(uid: int) -> User:
    """Return a user in the group of the same number, or in `NOGROUP` if that group has a name.

    A group with a name, such as ``disk``, may own devices.
    """
    import grp

    gid = uid
    with contextlib.suppress(KeyError):
        grp.getgrgid(uid)
        gid = NOGROUP
    return User(str(uid), uid, gid, (gid,), "/", SHELL)


def become(user: User) -> None:
    """Take the user's ids and groups, for good and in place of all others. Raises OSError."""
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
