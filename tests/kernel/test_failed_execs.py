"""Failed execs by errno: from a kernel callback where there is one, otherwise from sys_exit."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.needs import needs_callbacks, needs_two_cpus
from fakes.program import program
from fakes.real_agent import RealAgent, hooks

EXPECTED = {"ENOENT": 33, "EACCES": 20, "ENOEXEC": 10}
EXEC_ALONE = {"sections": ["exec"], "details": ["exec_failures"]}
STORM = 2_000


def orders(folder: Path) -> list[dict[str, Any]]:
    """Return orders whose execs fail as in EXPECTED, and five that succeed."""
    denied, garbage = folder / "denied", folder / "garbage"
    denied.write_bytes(b"")
    garbage.write_bytes(b"\0" * 64)
    garbage.chmod(0o755)
    return [
        {"how": "plain", "path": str(folder / "missing"), "count": 30},
        {"how": "execveat", "path": str(folder / "missing"), "count": 3},
        {"how": "plain", "path": str(denied), "count": 20},
        {"how": "plain", "path": str(garbage), "count": 10},
        {"how": "plain", "path": "/bin/true", "count": 5},
    ]


def evidence_of(agent: RealAgent, folder: Path, **request: Any) -> Any:
    with program("execs") as execs, agent.run(scope=execs.scope, **request) as run:
        for order in orders(folder):
            execs.work(json.dumps(order))
    assert run.evidence["exec"]["exec_count"] == 5
    return run.evidence


@needs_callbacks
@pytest.mark.parametrize("details", [[], ["exec_failures"]], ids=["unasked", "asked for"])
def test_a_run_of_all_sections_has_them_without_another_program(
    agent: RealAgent, tmp_path: Path, details: list[str]
) -> None:
    evidence = evidence_of(agent, tmp_path, details=details)
    assert evidence["exec"]["failures"] == EXPECTED
    assert evidence["exec"]["failures_missed"] == 0
    assert evidence["exec"]["attempts"] == 5 + sum(EXPECTED.values())
    assert evidence["manifest"]["details"]["exec_failures"] == ["tp_btf/sys_enter"]
    assert "sys_exit" not in hooks(evidence)


def test_with_exec_alone_they_are_known_on_request(agent: RealAgent, tmp_path: Path) -> None:
    evidence = evidence_of(agent, tmp_path, **EXEC_ALONE)
    assert evidence["exec"]["failures"] == EXPECTED
    assert evidence["manifest"]["details"] == {"exec_failures": ["tp_btf/sys_exit"]}
    assert "sys_enter" not in hooks(evidence)
    assert "failures" not in evidence_of(agent, tmp_path, sections=["exec"])["exec"]


@pytest.mark.parametrize(
    "fault",
    [
        (faults.kernel_lacks, "bpf_task_work_schedule_resume_impl"),
        (faults.wrong_kernel_function, "MARK_SCHEDULE"),
        (faults.broken_types,),
    ],
    ids=["an older kernel", "refused by the verifier", "refused types"],
)
@pytest.mark.thorough
def test_where_the_kernel_cannot_call_back_they_are_known_on_request(
    tmp_path: Path, fault: tuple[Any, ...]
) -> None:
    copy = Copy(tmp_path)
    copy.inject(*fault)
    with copy.launched() as agent:
        assert "failures" not in evidence_of(agent, tmp_path)["exec"]
        evidence = evidence_of(agent, tmp_path, details=["exec_failures"])
    assert evidence["exec"]["failures"] == EXPECTED
    assert evidence["manifest"]["details"]["exec_failures"] == ["tp_btf/sys_exit"]


@pytest.mark.thorough
@needs_callbacks
@needs_two_cpus
def test_an_attempt_that_could_not_be_awaited_is_reported(tmp_path: Path) -> None:
    """With room for one task, one of two tasks that fail at the same time is missed."""
    copy = Copy(tmp_path)
    copy.inject(faults.awaited_tasks, 1)
    order = json.dumps({"how": "plain", "path": str(tmp_path / "missing"), "count": STORM})
    with (
        copy.launched() as agent,
        program("execs") as one,
        program("execs") as other,
        agent.run(scope={"pid": os.getpid()}) as run,
        ThreadPoolExecutor() as pool,
    ):
        list(pool.map(lambda execs: execs.work(order), (one, other)))
    execs = run.evidence["exec"]
    assert execs["failures_missed"] > 0
    assert execs["failures"]["ENOENT"] + execs["failures_missed"] == execs["attempts"] == 2 * STORM
