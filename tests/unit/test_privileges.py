"""Choice of the user that the serving process becomes."""

import errno
import grp
import os
import pwd
import re
from pathlib import Path

import pytest

from agent.streams.shared import privileges
from agent.streams.shared.privileges import (
    CAP_SETGID,
    CAP_SETUID,
    DYNAMIC_UIDS,
    NOGROUP,
    CannotDrop,
    gid_of,
    root_is_alone,
    uid_of,
    unused_uid,
)


def test_agents_that_start_at_once_hardly_choose_the_same_uid() -> None:
    """Agents see the same unused uids, and two with the same uid could signal each other."""
    chosen = [unused_uid() for _ in range(20)]
    assert set(chosen) <= set(DYNAMIC_UIDS)
    assert len(set(chosen)) > 10


def test_a_uid_in_use_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "DYNAMIC_UIDS", [0, os.getuid(), 64_000])
    assert {unused_uid() for _ in range(20)} == {64_000}
    monkeypatch.setattr(privileges, "DYNAMIC_UIDS", [0])
    with pytest.raises(privileges.NoUnusedUid):
        unused_uid()


ALONE = "         0       1000          1\n"


@pytest.mark.parametrize(
    ("uid", "uid_map", "is_alone"),
    [
        (0, ALONE, True),
        (0, "         0          0          1\n", False),
        (0, "         0          0 4294967295\n", False),
        (0, f"{ALONE}         1     100000      65536\n", False),
        (0, "", False),
        (0, "one two three\n", False),
        (0, "one\n", False),
        (0, None, False),
        (1000, "      1000       1000          1\n", False),
        (65534, ALONE, False),
    ],
)
def test_root_is_alone_where_it_is_a_single_user_without_rights_outside(
    uid: int,
    uid_map: str | None,
    is_alone: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It may be root outside as well, whom nobody is to serve as."""
    if uid_map is not None:
        (tmp_path / "uid_map").write_text(uid_map)
    monkeypatch.setattr(privileges, "UID_MAP", tmp_path / "uid_map")
    monkeypatch.setattr("os.getuid", lambda: uid)
    assert root_is_alone() == is_alone


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
@pytest.mark.parametrize(
    ("uid_map", "said"),
    [
        ("0 1000 1\n", "no other user than root ({}). Start the agent without --user"),
        ("0 0 1\n", "no other user than root ({}), who is root outside of it too"),
    ],
)
def test_where_root_is_the_only_user_it_is_not_advised_to_be_another(
    number: int, uid_map: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "uid_map").write_text(uid_map)
    monkeypatch.setattr(privileges, "UID_MAP", tmp_path / "uid_map")
    monkeypatch.setattr(
        privileges, "effective_capabilities", lambda: 1 << CAP_SETUID | 1 << CAP_SETGID
    )
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setattr("os.setgroups", refused)
    with pytest.raises(CannotDrop, match=re.escape(said.format(tmp_path / "uid_map"))) as raised:
        privileges._become(64_321)
    assert "ordinary" not in str(raised.value)


def test_a_user_by_name_or_number() -> None:
    assert uid_of("root") == pwd.getpwnam("root").pw_uid
    assert uid_of("64321") == 64_321
    with pytest.raises(KeyError):
        uid_of("no-such-user")


@pytest.mark.parametrize("number", [str(2**32 - 1), str(2**32), "9" * 5000, "٣", "-1", "", " 5"])
def test_what_is_no_uid_is_no_user(number: str) -> None:
    """2**32 - 1 is -1 to setresuid(2), which then leaves the user as it is: root."""
    with pytest.raises(KeyError):
        uid_of(number)


def test_the_group_is_the_accounts_own() -> None:
    """The number of a user may be that of a group with rights: of disk, on Debian, user man has."""
    accounts = pwd.getpwall()
    assert any(account.pw_uid != account.pw_gid for account in accounts)
    uids = {account.pw_uid: account.pw_gid for account in reversed(accounts)}
    assert {uid: gid_of(uid) for uid in uids} == uids


def test_a_number_without_an_account_gets_no_group_that_has_a_name() -> None:
    uids = {account.pw_uid for account in pwd.getpwall()}
    [gid, *_] = [group.gr_gid for group in grp.getgrall() if group.gr_gid not in uids]
    assert gid_of(gid) == NOGROUP
    assert gid_of(64_321) == 64_321
