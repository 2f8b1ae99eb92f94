"""Choice of the user that the serving process becomes."""

import os
import pwd

import pytest

from agent.streams.shared import privileges
from agent.streams.shared.privileges import DYNAMIC_UIDS, uid_of, unused_uid


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


def test_a_user_by_name_or_number() -> None:
    assert uid_of("root") == pwd.getpwnam("root").pw_uid
    assert uid_of("64321") == 64_321
    with pytest.raises(KeyError):
        uid_of("no-such-user")
