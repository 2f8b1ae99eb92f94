"""Small files are read whole, however they end, and closed."""

import os
from pathlib import Path

import pytest

from agent import small_files
from agent.small_files import AT_ONCE


@pytest.mark.parametrize("size", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 5])
def test_all_of_a_file_is_read(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert small_files.read(str(tmp_path / "file")) == content


def lowest_free() -> int:
    """Return the number that the next file would get."""
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    return fd


def test_no_file_is_left_open(tmp_path: Path) -> None:
    """A folder can be opened, but not read."""
    free = lowest_free()
    with pytest.raises(IsADirectoryError):
        small_files.read(str(tmp_path))
    assert lowest_free() == free
    (tmp_path / "file").write_bytes(b"content")
    small_files.read(str(tmp_path / "file"))
    assert lowest_free() == free
