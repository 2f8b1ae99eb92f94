"""Files that a result is saved to: what was there is not lost."""

import errno
import os
import stat
from pathlib import Path

import pytest

from agent.terminal import files
from agent.terminal.files import named_twice, save


def test_a_file_is_written_and_written_again(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    for text in ("long enough\n", "short\udc80\n"):
        assert save(file, text) is None
    assert file.read_text() == "short\\udc80\n"
    assert os.listdir(tmp_path) == ["report.txt"]


def test_what_was_there_stays_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.txt"
    file.write_text("of yesterday")
    real = open

    def full(name: object, mode: str) -> object:
        os.close(int(str(name)))
        return real("/dev/full", mode)

    monkeypatch.setattr(files, "open", full, raising=False)
    monkeypatch.setattr(files, "_has_owner_of", lambda *_: True)
    assert save(file, "of today") == os.strerror(errno.ENOSPC)
    assert file.read_text() == "of yesterday"
    assert os.listdir(tmp_path) == ["report.txt"]


def test_what_was_there_stays_where_no_more_files_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.txt"
    file.write_text("of yesterday")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "open", full)
    assert save(file, "of today") == os.strerror(errno.ENOSPC)
    assert file.read_text() == "of yesterday"


def test_mode_owner_and_links_stay(tmp_path: Path) -> None:
    file, link, hard = (tmp_path / name for name in ("report.txt", "link", "hard"))
    file.write_text("")
    file.chmod(0o640)
    link.symlink_to(file)
    if os.geteuid() == 0:
        os.chown(file, 65532, 65532)
    before = file.stat()
    assert save(link, "new") is None
    after = file.stat()
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    os.link(file, hard)
    assert save(file, "newer") is None
    assert hard.read_text() == "newer"


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        assert save(tmp_path / "new", "x") is None
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_where_no_other_file_can_be_made_it_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.txt"
    file.write_text("old")

    def refused(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(files.os, "open", refused)
    assert save(file, "new") is None
    assert file.read_text() == "new"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    assert save(tmp_path, "x") == os.strerror(errno.EISDIR)
    assert save(tmp_path / "no" / "file", "x") == os.strerror(errno.ENOENT)
    assert save(Path("/dev/full"), "x") == os.strerror(errno.ENOSPC)


def test_a_file_by_two_names_is_named_twice(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    new = tmp_path / "sub" / ".." / "new"
    file.write_text("")
    link.symlink_to(file)
    assert named_twice([file, tmp_path / "other"]) is None
    assert named_twice([file, link]) == link
    assert named_twice([tmp_path / "new", new]) == new
    assert named_twice([file], inputs=[link]) == file
    assert named_twice([Path("/dev/null"), Path("/dev/null")]) is None
