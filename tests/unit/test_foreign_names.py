"""Names that others have chosen, in files of the kernel."""

from pathlib import Path

from agent.streams.shared.control_groups import groups
from agent.streams.shared.foreign_names import as_text, lines

HOSTILE = b"/b5\xff\x1b[31mX y\x85\xe2\x80\xa8"


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1:cpu:" + HOSTILE + b"\n0::/\n")
    first, second = lines(file)
    assert first.encode(errors="surrogateescape") == b"1:cpu:" + HOSTILE
    assert second == "0::/"
    assert as_text(first).startswith("1:cpu:/b5\\xff")
    as_text(first).encode()
    assert lines(tmp_path / "missing") == []
    file.write_bytes(b"")
    assert lines(file) == []


def test_the_groups_of_a_process_in_such_a_group(tmp_path: Path) -> None:
    file = tmp_path / "cgroup"
    file.write_bytes(b"1:cpu:" + HOSTILE + b"\n")
    found = groups("cpu", file)
    assert found.path.encode(errors="surrogateescape") == HOSTILE
