"""Whether /proc has our own numbers, and what is said if it has not."""

from pathlib import Path

import pytest

from agent.errors import ScopeError
from agent.model import Scope
from agent.procfs import scope
from agent.streams.collect import cpu_quota
from agent.streams.shared import callers
from agent.streams.shared.namespaces import FOREIGN, NOT_MOUNTED, why_proc_is_not_ours


@pytest.fixture(autouse=True)
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is taken for /proc."""
    monkeypatch.setattr("agent.streams.shared.namespaces.PROC", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("status", "why_not"),
    [
        ("Name:\tx\nNSpid:\t7\n", ""),
        ("Name:\tx\nNSpid:\t700\t7\n", FOREIGN),
        ("Name:\tx\n", ""),
    ],
)
def test_a_proc_of_the_own_namespace_is_recognized(proc: Path, status: str, why_not: str) -> None:
    (proc / "7").mkdir()
    (proc / "7/status").write_text(status)
    (proc / "self").symlink_to("7")
    assert why_proc_is_not_ours() == why_not


async def test_a_proc_where_the_agent_has_no_number_is_another_namespaces(proc: Path) -> None:
    (proc / "self").symlink_to("nothing")
    assert [*await all_that_is_said()] == [FOREIGN] * 3


async def test_a_proc_that_is_not_mounted_is_to_be_mounted() -> None:
    assert "mount -t proc proc /proc" in NOT_MOUNTED
    assert [*await all_that_is_said()] == [NOT_MOUNTED] * 3


async def all_that_is_said() -> list[str]:
    """Return why a process is not followed, why its quota is not known, and why no caller is."""
    with pytest.raises(scope.NotFound) as not_found:
        await scope.find(Scope("pid", pid=1), None, with_waits=True, left_out=())
    quota = cpu_quota.meter_of(Scope("pid", pid=1), {"pid": 1}).read()
    with pytest.raises(ScopeError) as refused:
        callers.pid_behind(("127.0.0.1", 1), ("127.0.0.1", 2))
    assert refused.value.code == "caller_unknown"
    why_no_caller = refused.value.message.split(": ", 1)[1].partition(", or use")[0]
    return [str(not_found.value), quota.reason, why_no_caller]
