"""What earlier compilations yielded is found again, or taken as if it were not there."""

import os
import resource
import stat
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
from fakes.descriptors import open_fds

from agent.streams.compiler import kept
from agent.streams.compiler.kept import Compiled

NAME = "a" * 64
COMPILED = Compiled({"on_exec": bytes(range(256)), "on_exit": b""}, "0.26")


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder instead of /run, which belongs to whoever runs the tests."""
    monkeypatch.setattr(kept, "ABOVE", (str(tmp_path),))
    monkeypatch.setattr(kept, "ROOT", os.geteuid())
    return tmp_path


@pytest.fixture
def folder(run: Path) -> Path:
    return run / "chainbench-agent" / "programs"


def test_what_was_kept_is_found_under_its_key_only() -> None:
    assert kept.read(NAME) is None
    kept.write(NAME, COMPILED)
    assert kept.read(NAME) == COMPILED
    assert kept.read("b" * 64) is None


def test_only_root_can_read_or_write_it_whatever_roots_umask_is(run: Path, folder: Path) -> None:
    for mask in (0, 0o077):
        before = os.umask(mask)
        try:
            kept.write(NAME, COMPILED)
        finally:
            assert os.umask(before) == mask
        paths = (run / "chainbench-agent", folder, folder / NAME)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
        assert modes == [0o755, 0o700, 0o600]
        (folder / NAME).unlink()
        folder.rmdir()
        (run / "chainbench-agent").rmdir()


def test_no_descriptor_is_left_open(folder: Path) -> None:
    before = open_fds()
    kept.write(NAME, COMPILED)
    kept.read(NAME)
    folder.chmod(0o777)
    kept.read(NAME)
    kept.write(NAME, COMPILED)
    assert open_fds() == before


def test_whoever_is_not_root_neither_reads_nor_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write(NAME, COMPILED)
    monkeypatch.setattr(os, "geteuid", lambda: kept.ROOT + 1)
    assert kept.read(NAME) is None
    kept.write("b" * 64, COMPILED)
    assert os.listdir(folder) == [NAME]


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: _rewrite(path, change)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def moved(path: Path) -> Path:
    """Move a file or a folder to where nothing else is, and return its new place."""
    return path.rename(path.with_name(f"{path.name} moved"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def _of_another_key(path: Path) -> None:
    kept.write("b" * 64, COMPILED)
    path.with_name("b" * 64).rename(path)


WRONG: dict[str, Callable[[Path], object]] = {
    "empty": changed(lambda content: b""),
    "garbage": changed(lambda content: os.urandom(len(content))),
    "a bit": changed(lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]),
    "truncated": changed(lambda content: content[:-1]),
    "within its head": changed(lambda content: content[:20]),
    "longer": changed(lambda content: content + b" "),
    "another version": changed(lambda content: content.replace(b"programs 1", b"programs 0")),
    "of another key": _of_another_key,
    "too long": lambda path: os.truncate(path, kept.LONGEST + 1),
    "a symbolic link": lambda path: path.symlink_to(moved(path)),
    "a pipe": _pipe,
    "a folder": _folder,
    "writable by a group": lambda path: path.chmod(0o620),
    "readable by others": lambda path: path.chmod(0o604),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_file_that_is_not_as_it_was_written_is_not_read(folder: Path, how: str) -> None:
    kept.write(NAME, COMPILED)
    WRONG[how](folder / NAME)
    assert kept.read(NAME) is None
    kept.write(NAME, COMPILED)
    # only a folder cannot be replaced
    assert kept.read(NAME) == (None if how == "a folder" else COMPILED)
    assert set(os.listdir(folder)) <= {NAME, f"{NAME} moved"}


WRONG_FOLDERS: dict[str, Callable[[Path], object]] = {
    "a symbolic link": lambda path: path.symlink_to(moved(path)),
    "a file": lambda path: (moved(path), path.touch()),
    "writable by a group": lambda path: path.chmod(0o770),
    "writable by others": lambda path: path.chmod(0o1707),
}


@pytest.mark.parametrize("wrong", ["chainbench-agent", "chainbench-agent/programs"])
@pytest.mark.parametrize("how", WRONG_FOLDERS)
def test_in_a_folder_that_is_not_roots_alone_nothing_is_read_or_written(
    run: Path, how: str, wrong: str
) -> None:
    kept.write(NAME, COMPILED)
    WRONG_FOLDERS[how](run / wrong)
    before = set(run.rglob("*"))
    assert kept.read(NAME) is None
    kept.write("b" * 64, COMPILED)
    assert set(run.rglob("*")) == before


def test_other_users_may_read_the_folder_of_the_socket_but_not_this_one(folder: Path) -> None:
    kept.write(NAME, COMPILED)
    folder.chmod(0o755)
    assert kept.read(NAME) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["chainbench-agent", "chainbench-agent/programs", "the file"])
def test_what_belongs_to_another_user_is_not_read(run: Path, folder: Path, what: str) -> None:
    kept.write(NAME, COMPILED)
    os.chown(folder / NAME if what == "the file" else run / what, 65534, -1)
    assert kept.read(NAME) is None


def test_a_bounded_number_is_kept_and_what_is_used_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    kept.write("used", COMPILED)
    (folder / "left.unfinished").touch()
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    for number in range(3):
        assert kept.read("used") == COMPILED
        kept.write(f"{number}", COMPILED)
        os.utime(folder / f"{number}", (2 + number, 2 + number))
    assert sorted(os.listdir(folder)) == ["1", "2", "used"]


def test_what_cannot_be_written_whole_is_not_there(folder: Path) -> None:
    kept.write("other", COMPILED)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        kept.write(NAME, COMPILED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(folder) == ["other"]


def _write_and_read(above: str, number: int) -> int:
    kept.ABOVE, kept.ROOT, kept.MOST = (above,), os.geteuid(), 2
    wrong = 0
    for turn in range(100):
        name = f"{turn % 3}"
        kept.write(name, COMPILED)
        wrong += kept.read(name) not in (COMPILED, None)
    return wrong


def test_many_agents_at_once_see_a_whole_file_or_none(run: Path, folder: Path) -> None:
    with get_context("fork").Pool(4) as pool:
        assert pool.starmap(_write_and_read, [(str(run), n) for n in range(4)]) == [0] * 4
    assert len(os.listdir(folder)) <= 2


# --- the key


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a.h").write_text("1")
    (folder / "below" / "b.h").write_text("2")
    (tmp_path / "bcc.py").touch()
    return folder


def key(source: Path, text: str = "int x;", *flags: str) -> str | None:
    return kept.key(str(source.with_name("bcc.py")), text, (source,), flags)


def test_the_key_is_the_same_for_the_same_and_changes_with_all_that_goes_in(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [key(source, "int x;", "-DA=1", "-DB=2")]
    assert found == [key(source, "int x;", "-DA=1", "-DB=2")]

    def add(*arguments: str) -> None:
        found.append(key(source, *arguments))

    add("int y;", "-DA=1", "-DB=2")
    add("int x;", "-DA=1", "-DB=3")
    add("int x;", "-DA=1")
    add("int x;", "-DA=1-DB=2")
    add("int x;-DA=1", "-DB=2")
    (source / "below" / "b.h").write_text("3")
    add("int x;", "-DA=1", "-DB=2")
    (source / "below" / "b.h").rename(source / "b.h")
    add("int x;", "-DA=1", "-DB=2")
    os.utime(source.with_name("bcc.py"), (1, 1))
    add("int x;", "-DA=1", "-DB=2")
    libraries = source / "ld.so.cache"
    libraries.write_text("libLLVM")
    monkeypatch.setattr(kept, "LIBRARIES", libraries)
    add("int x;", "-DA=1", "-DB=2")
    os.utime(libraries, (1, 1))
    add("int x;", "-DA=1", "-DB=2")
    here = os.uname()
    for name in ("release", "version", "machine"):
        other = os.uname_result([value + (field == name) * "x" for field, value in fields(here)])
        monkeypatch.setattr(os, "uname", lambda other=other: other)
        add("int x;", "-DA=1", "-DB=2")
    assert None not in found
    assert len(set(found)) == len(found)


def fields(found: os.uname_result) -> list[tuple[str, str]]:
    names = ("sysname", "nodename", "release", "version", "machine")
    return [(name, getattr(found, name)) for name in names]


def test_the_name_of_the_machine_is_not_part_of_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(source)
    values = [value if name != "nodename" else "other" for name, value in fields(os.uname())]
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(values))
    assert key(source) == before


@pytest.mark.parametrize("unreadable", ["bcc.py", "source/a.h"])
def test_what_cannot_be_read_leaves_no_key(source: Path, unreadable: str) -> None:
    path = source.parent / unreadable
    path.unlink()
    path.symlink_to("nowhere")
    assert key(source) is None


def test_where_nothing_tells_boots_apart_there_is_no_key(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "BOOT", source / "nowhere")
    assert key(source) is None


def test_without_a_key_nothing_is_read_or_written(folder: Path) -> None:
    kept.write(None, COMPILED)
    assert kept.read(None) is None
    assert not folder.exists()
