"""What is said of a wait for another process that has locked the store, and where."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fakes.kept import held_by_another, keep_in, kept, single
from fakes.run_command import environment
from fakes.waiting import PATIENCE_SECONDS

from agent.client.interpreter import own_module
from agent.store import errors, place, waiting
from agent.store.errors import StoreError
from agent.store.opening import open_store, open_to_read


@pytest.mark.parametrize("how", ["by a writer", "by who opens it"])
def test_a_long_wait_is_said_once(
    how: str, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(errors, "LOCKED_S", 0.3)
    monkeypatch.setattr(waiting, "SILENT_S", 0.05)
    keep_in(path, single())
    with contextlib.ExitStack() as locks:
        store = locks.enter_context(open_store(path))
        assert not caplog.messages
        if how == "by a writer":
            locks.enter_context(held_by_another(path))
        else:
            folder = locks.enter_context(place.folder_of(path))
            locks.enter_context(place.locked(folder, path))
        with pytest.raises(StoreError):
            store.keep(*kept(single())) if how == "by a writer" else open_to_read(path)
    assert caplog.messages == [f"waiting for another process, which has locked {path}"]


@pytest.mark.thorough
def test_a_command_says_so_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / place.NAME / place.FILE
    keep_in(path, single())
    with held_by_another(path):
        limiting = subprocess.Popen(
            own_module("agent", "runs", "limits", "--runs", "3").command,
            env=environment(XDG_STATE_HOME=str(tmp_path)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert limiting.stderr is not None
        said = limiting.stderr.readline()
    with limiting:
        assert said == f"waiting for another process, which has locked {path}\n"
    assert limiting.returncode == 0


@contextlib.contextmanager
def full() -> Iterator[int]:
    with open("/dev/full", "wb") as device:
        yield device.fileno()


@contextlib.contextmanager
def without_a_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("stderr", [full, without_a_reader])
def test_where_it_cannot_be_said_a_command_ends_as_well(
    stderr: Callable[[], AbstractContextManager[int]], path: Path
) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from agent.store import waiting\n"
        "waiting.SILENT_S = 0\n"
        "waiting.Wait(Path(sys.argv[1])).is_too_long()\n"
    )
    with stderr() as said:
        done = subprocess.run(
            [sys.executable, "-c", code, path], env=environment(), stderr=said, check=False
        )
    assert done.returncode == 0


@pytest.mark.thorough
@pytest.mark.parametrize("stderr", [full, without_a_reader])
def test_a_whole_command_does_so(
    stderr: Callable[[], AbstractContextManager[int]], tmp_path: Path
) -> None:
    path = tmp_path / place.NAME / place.FILE
    keep_in(path, single())
    with stderr() as said, place.folder_of(path) as folder:
        with place.locked(folder, path):
            listing = subprocess.Popen(
                own_module("agent", "runs", "list").command,
                env=environment(XDG_STATE_HOME=str(tmp_path)),
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                listing.wait(2 * waiting.SILENT_S)
        assert listing.wait(PATIENCE_SECONDS) == 0
