"""A CPU quota: what it withheld from a command, against what the kernel counted in its group."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroups import Quota, limiting, made, member_of, mounted
from fakes.marks import order
from fakes.needs import lacking
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.run_command import PYTHON, finished, line

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

QUOTA_US, PERIOD_US = 10_000, 100_000
COMPUTES = "import time\nwhile time.process_time() < {}: pass"


@pytest.fixture
def group() -> Iterator[Quota]:
    """Yield a group whose tasks have a tenth of a CPU."""
    with limiting("cpu", "cpu.max", "cpu.cfs_quota_us") as path:
        limited = Quota(path)
        limited.limit(QUOTA_US, PERIOD_US)
        yield limited


def throttled_ms(group: Quota) -> float:
    counts = dict(row.split() for row in group.read("cpu.stat").splitlines())
    return int(counts.get("throttled_time", 1000 * int(counts.get("throttled_usec", 0)))) / 1e6


def run(agent: RealAgent, folder: Path, command: list[str], *before: str) -> tuple[Any, str]:
    """Run a command under an agent; return the saved evidence, and what was printed."""
    file = folder / "x.json"
    done = finished([*before, *line("run", "--agent", agent.url, "--json", file, "--", *command)])
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), done.stderr


@pytest.mark.thorough
def test_what_a_quota_withheld(agent: RealAgent, tmp_path: Path, group: Quota) -> None:
    before = throttled_ms(group)
    command = [*PYTHON, COMPUTES.format(0.1)]
    evidence, report = run(agent, tmp_path, command, *member_of(group.path))
    in_all = throttled_ms(group) - before
    quota, wall = evidence["cpu_quota"], evidence["wall"]
    [limit] = quota["limits"]
    assert limit["cgroup"] == f"/{group.path.name}"
    assert (limit["quota_ms"], limit["period_ms"]) == (QUOTA_US / 1e3, PERIOD_US / 1e3)
    assert 0 < limit["throttled"] <= limit["periods"]
    # run itself, which is in the group too, may be throttled before and after
    assert PERIOD_US / 1e3 < quota["throttled_ms"] <= in_all
    assert quota["throttled_ms"] == limit["throttled_ms"]
    waited = wall["states"]["waiting_for_cpu"]["ms"]
    assert wall["throttled_ms"] == min(quota["throttled_ms"], waited)
    assert wall["throttled_ms"] > PERIOD_US / 1e3, "the rest is the competition's"
    assert "throttled by the CPU quota (10 ms in each" in " ".join(report.split())


def test_a_quota_that_is_not_used_up_withholds_nothing(
    agent: RealAgent, tmp_path: Path, group: Quota
) -> None:
    group.limit(10 * PERIOD_US, PERIOD_US)
    evidence, report = run(agent, tmp_path, ["true"], *member_of(group.path))
    quota = evidence["cpu_quota"]
    [limit] = quota["limits"]
    assert (limit["throttled"], limit["throttled_ms"]) == (0, 0)
    assert (quota["throttled_ms"], evidence["wall"]["throttled_ms"]) == (0, 0)
    assert "quota" not in report


@pytest.mark.thorough
def test_the_quota_of_a_group_above(agent: RealAgent, tmp_path: Path, group: Quota) -> None:
    inner = Quota(group.path / "inner")
    if not (group.path / "cpu.cfs_quota_us").exists():
        group.write("cgroup.subtree_control", "+cpu")
    inner.path.mkdir()
    try:
        command = [*PYTHON, COMPUTES.format(0.1)]
        evidence, _ = run(agent, tmp_path, command, *member_of(inner.path))
    finally:
        inner.path.rmdir()
    [limit] = evidence["cpu_quota"]["limits"]
    assert limit["cgroup"] == f"/{group.path.name}"
    assert evidence["cpu_quota"]["throttled_ms"] > PERIOD_US / 1e3


@pytest.mark.thorough
def test_who_moves_to_another_group_is_not_said_to_be_unthrottled(
    agent: RealAgent, tmp_path: Path, group: Quota
) -> None:
    command = [*member_of(group.path), *PYTHON, COMPUTES.format(0.05)]
    evidence, report = run(agent, tmp_path, command)
    assert evidence["cpu_quota"]["available"] is False
    assert "moved" in evidence["cpu_quota"]["reason"]
    assert evidence["wall"]["throttled_ms"] is None
    assert "not known whether a CPU quota" in " ".join(report.split())


@pytest.mark.thorough
def test_nor_is_who_is_born_into_another_group(agent: RealAgent) -> None:
    """clone3(2) with CLONE_INTO_CGROUP: of that no event tells that a task was moved."""
    mount = mounted("cgroup2")
    if mount is None:
        lacking("a hierarchy of cgroups v2")
    with made(mount) as path, program("trees") as parent:
        scope = {"pid": parent.pid}
        with agent.run(scope=scope) as at_home:
            parent.work(order("child"))
        with agent.run(scope=scope) as elsewhere:
            parent.work(order("into_cgroup", folder=str(path)))
    assert at_home.evidence["cpu_quota"]["available"] is True
    assert "born into them" in elsewhere.evidence["cpu_quota"]["reason"]


@pytest.mark.thorough
def test_a_group_that_is_removed_is_not_known(agent: RealAgent, group: Quota) -> None:
    with subprocess.Popen([*member_of(group.path), "sleep", "0.5"]) as asleep:
        while not group.read("cgroup.procs").strip():
            time.sleep(0.01)
        with agent.run(scope={"pid": asleep.pid}) as run:
            asleep.wait()
            group.path.rmdir()
            group.path.mkdir()
    assert run.evidence["cpu_quota"]["available"] is False
    assert "removed" in run.evidence["cpu_quota"]["reason"]


@pytest.mark.thorough
def test_a_run_of_the_whole_machine_has_none(agent: RealAgent) -> None:
    with agent.run() as run:
        pass
    assert run.evidence["cpu_quota"]["available"] is False
    assert run.evidence["stolen_ms"] >= 0
