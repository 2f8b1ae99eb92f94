"""Why eBPF is unavailable: each cause has its own code, and its message says how to fix it."""

import errno
import os
from pathlib import Path

import pytest

from agent.streams.shared import causes, privileges
from agent.streams.shared.causes import CURES, CannotCollect, cannot, check_platform, refused

BOTH = 1 << privileges.CAP_BPF | 1 << privileges.CAP_PERFMON


@pytest.mark.parametrize("code", CURES)
def test_every_cause_carries_its_detail(code: str) -> None:
    error = cannot(code, "the very detail")
    assert error.code == code
    assert "the very detail" in error.message
    # the message adds what is missing, or what to do
    assert len(error.message) > len("the very detail") + 15


def raised_by_check() -> CannotCollect | None:
    try:
        check_platform()
    except CannotCollect as error:
        return error
    return None


@pytest.fixture
def capable_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Simulate a machine that has everything, and return its BTF file."""
    monkeypatch.setattr(causes.platform, "system", lambda: "Linux")
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: BOTH)
    btf = tmp_path / "vmlinux"
    btf.touch()
    monkeypatch.setattr(causes, "BTF", btf)
    return btf


def test_nothing_is_wrong_where_all_is_there(capable_linux: Path) -> None:
    assert raised_by_check() is None


def test_not_linux(capable_linux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes.platform, "system", lambda: "Darwin")
    error = raised_by_check()
    assert error is not None
    assert error.code == "not_linux"
    assert "Darwin" in error.message


@pytest.mark.parametrize(
    ("held", "enough"),
    [
        (0, False),
        (1 << privileges.CAP_BPF, False),
        (1 << privileges.CAP_PERFMON, False),
        (BOTH, True),
        (1 << privileges.CAP_SYS_ADMIN, True),
    ],
)
def test_which_capabilities_do(
    capable_linux: Path, monkeypatch: pytest.MonkeyPatch, held: int, enough: bool
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: held)
    error = raised_by_check()
    assert (error is None) is enough
    if error is not None:
        assert error.code == "no_capability"
        assert "root" in error.message
        assert f"uid {os.getuid()}" in error.message


def test_no_btf(capable_linux: Path) -> None:
    capable_linux.unlink()
    error = raised_by_check()
    assert error is not None
    assert error.code == "no_btf"
    assert "CONFIG_DEBUG_INFO_BTF" in error.message
    assert str(capable_linux) in error.message


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EPERM, "kernel_refused"),
        (errno.EACCES, "kernel_refused"),
        (errno.EINVAL, "kernel_too_old"),
        (errno.ENOMEM, "kernel_refused"),
    ],
)
def test_a_refusal_tells_the_kernels_own_word(number: int, code: str) -> None:
    error = refused("creating maps", OSError(number, os.strerror(number)))
    assert error.code == code
    assert f"creating maps: {os.strerror(number)}" in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none [integrity] confidentiality\n", "lockdown: integrity"),
        ("[none] integrity confidentiality\n", None),
        (None, None),
    ],
)
def test_lockdown_is_told_where_it_is_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, expected: str | None
) -> None:
    mode = tmp_path / "lockdown"
    if text is not None:
        mode.write_text(text)
    monkeypatch.setattr(causes, "LOCKDOWN", mode)
    message = refused("attaching", OSError(errno.EPERM, "no")).message
    assert ("(lockdown:" in message) is (expected is not None)
    assert expected is None or expected in message
