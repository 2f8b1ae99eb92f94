"""Where a store is, whose its folder and files are, and who can read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.kept import keep_in, kept, single
from fakes.mounts import mounting
from fakes.users import SOMEBODY, as_reading_user

from agent.store import opening, place
from agent.store.errors import NoStore, StoreError
from agent.store.opening import open_store, open_to_read
from agent.store.place import default_path
from agent.store.selection import Selection

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


# --- where it is


def test_the_folder_and_the_file_are_the_users_own(path: Path) -> None:
    before = os.umask(0)
    try:
        with open_store(path) as store:
            store.keep(*kept(single()))
            modes = {found.name: mode(found) for found in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert mode(path.parent) == 0o700
    assert set(modes) == {"runs.db", "runs.db-lock", "runs.db-shm", "runs.db-wal"}
    assert set(modes.values()) == {0o600}


def test_the_log_goes_with_the_last_process(path: Path) -> None:
    keep_in(path, single())
    assert sorted(found.name for found in path.parent.iterdir()) == ["runs.db", "runs.db-lock"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_STATE_HOME": "{home}/state", "HOME": "/nowhere"}, "{home}/state"),
        ({"XDG_STATE_HOME": "relative", "HOME": "{home}"}, "{home}/.local/state"),
        ({"XDG_STATE_HOME": "", "HOME": "{home}"}, "{home}/.local/state"),
    ],
)
def test_it_is_in_the_state_directory(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    folder = Path(expected.format(home=tmp_path))
    assert default_path() == folder / "chainbench-agent" / "runs.db"


def test_without_a_home_it_is_in_that_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert default_path() == Path(home, ".local/state/chainbench-agent/runs.db")
    monkeypatch.setattr(place, "_home_of_account", lambda: "")
    with pytest.raises(StoreError, match="set HOME or XDG_STATE_HOME"):
        default_path()


@needs_root
@pytest.mark.parametrize("variable", ["HOME", "XDG_STATE_HOME"])
def test_root_keeps_nothing_in_the_home_of_another_user(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, SOMEBODY, SOMEBODY)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv(variable, str(home))
    assert not default_path().is_relative_to(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(place, "_home_of_account", lambda: "")
    with pytest.raises(StoreError, match="only where all folders are root's, and not in"):
        default_path()


@needs_root
def test_where_no_folder_can_be_roots_the_cure_is_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a user namespace that another user has made, / has no owner."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, SOMEBODY, SOMEBODY)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(place, "_home_of_account", lambda: "")
    monkeypatch.setattr(place, "ROOT", home)
    for store in (default_path, lambda: open_store(home / "runs/runs.db")):
        with pytest.raises(StoreError, match="here / itself is not") as refused:
            store()
        assert f"uid {SOMEBODY}" in str(refused.value)
        assert "run save them (--json FILE)" in str(refused.value)
        assert "XDG_STATE_HOME" not in str(refused.value)


@needs_root
def test_nor_where_a_link_in_that_home_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, roots = tmp_path / "home", tmp_path / "roots"
    home.mkdir()
    os.chown(home, SOMEBODY, SOMEBODY)
    (roots / "state").mkdir(parents=True)
    (home / ".local").symlink_to(roots)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    assert not default_path().is_relative_to(home)


@needs_root
def test_another_users_folder_is_refused(path: Path) -> None:
    keep_in(path, single())
    os.chown(path.parent, SOMEBODY, SOMEBODY)
    for opened in (open_store, open_to_read):
        with pytest.raises(StoreError, match="belongs to another user"):
            opened(path)


def test_a_folder_that_everybody_may_write_to_is_refused(path: Path) -> None:
    keep_in(path, single())
    path.parent.chmod(0o777)
    with pytest.raises(StoreError, match="chmod o-w"):
        open_store(path)


@needs_root
@pytest.mark.parametrize("make", [True, False])
def test_root_opens_nothing_below_what_others_can_replace(make: bool, tmp_path: Path) -> None:
    above = tmp_path / "above"
    path = above / "own" / "runs.db"
    keep_in(path, single())
    opens = open_store if make else open_to_read
    os.chown(above, SOMEBODY, SOMEBODY)
    with pytest.raises(StoreError, match=f"belongs to another user .uid {SOMEBODY}"):
        opens(path)
    with pytest.raises(StoreError, match="belongs to another user"):
        open_store(above / "new" / "runs.db")
    assert not (above / "new").exists()
    os.chown(above, 0, 0)
    above.chmod(0o777)
    with pytest.raises(StoreError, match="everybody may write"):
        opens(path)
    above.chmod(0o1777)
    opens(path).close()
    link = tmp_path / "link"
    link.symlink_to(above)
    opens(link / "own" / "runs.db").close()
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(StoreError, match="belongs to another user"):
        opens(link / "own" / "runs.db")


def test_links_are_not_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path.parent.parent.mkdir()
    path.parent.symlink_to(elsewhere)
    with pytest.raises(StoreError, match="is a link"):
        open_store(path)
    path.parent.unlink()
    path.parent.mkdir(mode=0o700)
    for name in ("runs.db", "runs.db-wal", "runs.db-shm"):
        link = path.with_name(name)
        link.symlink_to(elsewhere / "target")
        with pytest.raises(StoreError, match="is a link"):
            open_store(path)
        link.unlink()
    path.with_name("runs.db-lock").unlink()
    path.with_name("runs.db-lock").symlink_to(elsewhere / "target")
    with pytest.raises(StoreError, match="symbolic links"):
        open_store(path)
    assert list(elsewhere.iterdir()) == []


def test_a_folder_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="is a folder, and runs are kept in a file"):
        open_store(path)


def test_a_path_that_leads_elsewhere_is_not_that_of_an_open_store(path: Path) -> None:
    """Also where looking fails otherwise than because nobody may: here, a link to itself."""
    with open_store(path) as store:
        assert store.is_in_place
        path.parent.rename(path.parent.with_name("moved"))
        assert not store.is_in_place
        path.parent.symlink_to(path.parent)
        assert not store.is_in_place


# --- reading


def test_a_path_that_is_no_text_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff?b") / "runs.db"
    document = single()
    keep_in(path, document)
    with opening._opened_read_only(path) as store:
        assert [run.id for run in store.find(Selection())] == [document["run_id"]]


def test_nothing_is_made_by_reading(path: Path) -> None:
    with pytest.raises(NoStore, match="no runs are kept"):
        open_to_read(path)
    assert not path.parent.exists()


@needs_root
def test_a_read_only_file_system_can_be_read(path: Path) -> None:
    document = single()
    keep_in(path, document)
    script = f"mount --bind {path.parent} {path.parent}; mount -o remount,ro,bind {path.parent}"
    code = (
        "import sys; from pathlib import Path\n"
        "from agent.store.opening import open_store, open_to_read\n"
        "from agent.store.selection import Selection\n"
        "from agent.store.errors import StoreError\n"
        "path = Path(sys.argv[1])\n"
        "print([run.id for run in open_to_read(path).find(Selection())])\n"
        "try: open_store(path)\n"
        "except StoreError as error: print(error)\n"
    )
    command = [*mounting(script), sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read, refused = done.stdout.splitlines()
    assert read == str([document["run_id"]])
    assert refused == f"{path}-lock: Read-only file system"


@needs_root
def test_a_folder_that_cannot_be_written_to_can_be_read_by_its_users(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "runs.db"
    document = single()
    keep_in(path, document)
    path.parent.chmod(0o755)
    path.chmod(0o644)
    code = (
        "import sys; from pathlib import Path\n"
        "from agent.store.opening import open_to_read\n"
        "from agent.store.selection import Selection\n"
        "print([run.id for run in open_to_read(Path(sys.argv[1])).find(Selection())])\n"
    )
    command = [*as_reading_user(SOMEBODY), sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{[document['run_id']]}\n", "")
