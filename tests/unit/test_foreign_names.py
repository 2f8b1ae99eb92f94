"""Names that others have chosen, in files of the kernel."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.procfs import files
from agent.procfs.scope import NotFound, _check_owner
from agent.procfs.task import owner_of, uids_of
from agent.run import held, processes
from agent.sections.biolatency.stacking import Stacking
from agent.streams.collect import cgroups
from agent.streams.shared import control_groups
from agent.streams.shared.control_groups import groups
from agent.streams.shared.foreign_names import as_text, lines

HOSTILE = b"/b5\xff\x1b[31mX y\x85\xe2\x80\xa8"

ENDS = [b"\r", b"\x0b", b"\x0c", b"\x1c", b"\x85", "\x85".encode()]
"""What ends a line for one or another of Python's readers of lines, and for the kernel does not."""
as_ends = pytest.mark.parametrize("end", ENDS)

TAKE_NAME = (
    "import ctypes, sys; "
    "assert ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]), 0, 0, 0) == 0; "  # PR_SET_NAME
)


@contextmanager
def named(name: bytes) -> Iterator[int]:
    """A process that has taken this name, by its pid."""
    command = [sys.executable, "-c", f"{TAKE_NAME}print(flush=True); input()", name.hex()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert name in Path(f"/proc/{process.pid}/status").read_bytes()
        yield process.pid
        process.communicate(b"\n")


@as_ends
def test_no_process_names_itself_anothers(end: bytes) -> None:
    own, others = os.getuid(), 1000 + (os.getuid() == 1000)
    with named(b"a%sUid: %d" % (end, others)) as pid:
        assert uids_of(pid) == [own] * 4
        with pytest.raises(NotFound):
            _check_owner(pid, others)
    with named(b"%sUid:9 %d" % (end, others)) as pid:
        assert owner_of(pid) == own


@as_ends
def test_a_name_is_no_count_of_its_process(end: bytes) -> None:
    with named(b"a%srchar: 7" % end) as pid:
        assert files.named(f"/proc/{pid}/status", {b"rchar": "read_chars"}) == {}
    with named(b"a%sVmHWM: 7" % end) as pid:
        assert held._resident_peak(pid) > 7 * 1024


@as_ends
def test_a_name_does_not_make_proc_another_namespaces(end: bytes) -> None:
    ask = "from agent.streams.shared import namespaces; print(namespaces.proc_is_ours())"
    command = [sys.executable, "-c", TAKE_NAME + ask, (b"a%sNSpid: 1 2" % end).hex()]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"True\n"


@as_ends
def test_a_process_is_shown_by_the_name_that_it_has(end: bytes) -> None:
    with named(b"a%sb) S 1" % end) as pid:
        found = processes._read(pid)
    assert found is not None
    assert (found.command, found.parent) == (
        (b"a%sb) S 1" % end).decode(errors="replace"),
        os.getpid(),
    )


@as_ends
def test_a_mount_is_where_it_is_whatever_it_is_called(
    end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of a loop device is on the file system of its mount, by mountinfo."""
    text = os.fsdecode(end)
    for folder in ("slaves", "loop"):
        (tmp_path / "7:0" / folder).mkdir(parents=True)
    (tmp_path / "7:0/loop/backing_file").write_bytes(b"/x%sy/file\n" % end)
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"22 1 8:2 / / rw - ext4 /dev/sda2 rw\n"
        b"23 22 8:16 / /x%sy rw - ext4 /dev/sdb rw\n"
        b"24 22 0:31 / /cg%sv2 rw - cgroup2 x%sy rw\n" % (end, end, end)
    )
    assert Stacking(tmp_path, mounts).below("7:0") == ("8:16",)
    (tmp_path / "cgroup").write_bytes(b"0::/\n")
    monkeypatch.setattr(control_groups, "MOUNTS", mounts)
    [directory] = groups("cpu", tmp_path / "cgroup").directories
    assert directory == Path(f"/cg{text}v2")


@as_ends
def test_what_is_mounted_does_not_say_where_cgroups_are(
    end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary user chooses the name of a FUSE file system."""
    mounts = b"a%s/theirs%scgroup2%s /mnt fuse rw 0 0\ncgroup2 /cg cgroup2 rw 0 0\n" % (
        end,
        end,
        end,
    )
    monkeypatch.setattr(Path, "read_bytes", lambda self: mounts)
    assert cgroups._mount_point() == Path("/cg")


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
