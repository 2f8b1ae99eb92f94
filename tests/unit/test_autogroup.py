"""The agent's session is favoured during a run, and gets its old weight back."""

import os
from pathlib import Path

import pytest

from agent.streams.supervisor.autogroup import Autogroup


@pytest.fixture
def leading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process lead its session."""
    monkeypatch.setattr(os, "getsid", lambda pid: os.getpid())


@pytest.mark.usefixtures("leading")
def test_the_old_value_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "autogroup"
    path.write_text("/autogroup-7 nice 5\n")
    autogroup = Autogroup(path)
    autogroup.favour()
    assert path.read_text() == "-20"
    # a second arming without a disarming in between must not take -20 for the old value
    autogroup.favour()
    autogroup.put_back()
    assert path.read_text() == "5"
    path.write_text("/autogroup-7 nice 3\n")
    autogroup.put_back()
    assert path.read_text() == "/autogroup-7 nice 3\n"


@pytest.mark.usefixtures("leading")
@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_a_kernel_without_autogroups_is_left_alone(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "autogroup"
    if content is not None:
        path.write_text(content)
    autogroup = Autogroup(path)
    autogroup.favour()
    autogroup.put_back()
    assert (path.read_text() if path.exists() else None) == content


def test_a_session_that_another_process_leads_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getsid", lambda pid: os.getpid() + 1)
    path = tmp_path / "autogroup"
    path.write_text("/autogroup-7 nice 5\n")
    Autogroup(path).favour()
    assert path.read_text() == "/autogroup-7 nice 5\n"
