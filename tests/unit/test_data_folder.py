"""The folder of ``--data-dir``: this user's alone, and nothing that somebody else has put there."""

import os
from pathlib import Path

import pytest

from agent.processes import data_folder
from agent.processes.data_folder import ensure

UID, GID = os.geteuid(), os.getegid()
OTHER = 12345


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_it_is_made_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ensure(str(folder), UID, GID)
    assert (mode(folder), folder.stat().st_uid) == (0o700, UID)
    ensure(str(folder), UID, GID)


@pytest.mark.skipif(UID != 0, reason="only root can give a folder away")
def test_root_makes_it_for_the_user_that_is_to_serve(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ensure(str(folder), OTHER, OTHER)
    assert (folder.stat().st_uid, folder.stat().st_gid, mode(folder)) == (OTHER, OTHER, 0o700)


def test_a_umask_leaves_it_to_its_user(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure(str(tmp_path / "data"), UID, GID)
    finally:
        os.umask(before)
    assert mode(tmp_path / "data") == 0o700


def test_only_the_last_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="make the folder that it is to be in first"):
        ensure(str(tmp_path / "a" / "b"), UID, GID)


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_a_link_or_a_file_in_its_place_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "data"
    if kind == "file":
        folder.touch()
    else:
        folder.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(OSError, match="it is a link, or no folder"):
        ensure(str(folder), UID, GID)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    with pytest.raises(OSError, match=f"it belongs to uid {UID}, not to .*uid {OTHER}.*chown"):
        ensure(str(folder), OTHER, OTHER)
    assert folder.stat().st_uid == UID


@pytest.mark.parametrize("open_to", [0o750, 0o701, 0o777])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, open_to: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(open_to)
    with pytest.raises(OSError, match="chmod 700"):
        ensure(str(folder), UID, GID)


def test_a_folder_with_files_that_has_taken_its_place_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever owns the folder above can swap them as soon as the new one is made."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "secret").touch()
    monkeypatch.setattr(data_folder, "_make", lambda *_: True)
    with pytest.raises(OSError, match="replaced while it was being made"):
        ensure(str(folder), OTHER, OTHER)
    assert folder.stat().st_uid == UID
