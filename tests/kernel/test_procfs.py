"""What a real agent without eBPF counts of real processes."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.acting import BYTES, PAGES, SWITCHES, act_and_end, acting
from fakes.processes import Launched, launched
from fakes.run_command import PYTHON, finished, line
from fakes.users import SOMEBODY, as_reading_user, as_user, with_rights_to_lose
from fakes.waiting import eventually

from agent.recording.recorder import LOOK_S

FORBIDDEN = ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", "--"]
"""Without these, root may collect nothing either."""


pytestmark = with_rights_to_lose


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """An agent that root has started without the right to eBPF."""
    log = tmp_path_factory.mktemp("without") / "log"
    with launched(log, before=FORBIDDEN) as agent:
        agent.settle()
        yield agent


def test_what_is_counted_anyway_is_in_the_evidence(without: Launched) -> None:
    with acting("in_children()") as child:
        started = without.start(scope={"pid": child.pid}, scenario="totals")
        child.act()
        evidence = without.stop()
    assert (started["available"], evidence["available"]) == (False, False)
    assert evidence["completeness"]["verdict"] == "invalid"
    # root that lacks them is told so, as in a container
    assert "--cap-add PERFMON" in evidence["reason"]
    assert started["scope"]["pid"] == evidence["scope"]["pid"] == child.pid
    assert started["scope"]["process_started_at"] == evidence["scope"]["process_started_at"]
    tasks = evidence["procfs"]["tasks"]
    assert 3 * PAGES <= tasks["minor_faults"] <= 3 * PAGES + 9_000
    assert tasks["user_ms"] + tasks["system_ms"] >= 240
    assert tasks["voluntary_switches"] >= 1
    assert evidence["procfs"]["machine"]["context_switches"] >= 3 * SWITCHES
    # it serves as another user, who may not see what others read
    assert "read_chars" not in tasks
    [missing] = [row for row in tasks["missing"] if "read_chars" in row["figures"]]
    assert "Permission denied" in missing["reason"]
    assert evidence["overhead"]["agent_cpu_ms"] is not None


@pytest.mark.thorough
def test_a_run_ends_with_the_last_descendant_that_was_followed(without: Launched) -> None:
    script = "read go; sleep 600 > /dev/null & echo $!; read end"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        run_id = without.start(scope={"pid": shell.pid})["run_id"]
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write("go\n")
        shell.stdin.flush()
        child = int(shell.stdout.readline())
        try:
            time.sleep(2 * LOOK_S)  # for the agent to see the child, also on a busy machine
            shell.communicate("end\n")
            time.sleep(2.5 * LOOK_S)
            assert without.status()["run_id"] == run_id
        finally:
            os.kill(child, signal.SIGKILL)
    eventually(lambda: without.status()["state"] == "idle")
    evidence = without.stop()
    assert (evidence["run_id"], evidence["ended_by"]) == (run_id, "scope")
    assert evidence["procfs"]["tasks"]["processes"] == 2


def test_nothing_of_it_is_on_metrics(without: Launched) -> None:
    without.start(scenario="nothing of it")
    without.stop()
    shown = [row for row in without.metrics().splitlines() if "nothing of it" in row]
    assert not [row for row in shown if "runqlat" in row or "biolatency" in row]
    assert "procfs" not in without.metrics()


def test_a_caller_that_cannot_be_found_is_said_and_the_machine_is_counted(
    without: Launched,
) -> None:
    without.start(scope="caller")
    section = without.stop()["procfs"]
    # the agent is another user now, and cannot see whose the connection is
    assert "cannot be identified" in section["no_tasks"]
    assert "tasks" not in section
    assert section["machine"]["context_switches"] > 0


def test_an_ordinary_user_sees_what_its_processes_read(tmp_path: Path) -> None:
    user = as_reading_user(SOMEBODY)
    tmp_path.chmod(0o777)
    for folder in list(tmp_path.parents)[:2]:
        folder.chmod(0o755)
    with launched(tmp_path / "log", before=user) as agent:
        agent.settle()
        with acting("act()", before=as_user(SOMEBODY)) as child:
            agent.start(scope={"pid": child.pid})
            child.act()
            tasks = agent.stop()["procfs"]["tasks"]
    assert tasks["read_chars"] >= BYTES
    assert tasks["io_refused"] == 0


@pytest.mark.thorough
@pytest.mark.usefixtures("as_from_a_shell")
@pytest.mark.parametrize("options", [[], ["--runs", "2"]], ids=["once", "again"])
def test_run_prints_and_keeps_totals(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "saved.json"
    command = line("run", "--json", file, *options, "--", *PYTHON, act_and_end())
    done = finished([*FORBIDDEN, *command], timeout=120)
    assert done.returncode == 0, done.stderr
    saved = json.loads(file.read_text())
    runs = saved["runs"] if options else [{"evidence": saved, "command": saved["command"]}]
    for run in runs:
        took, section = run["command"], run["evidence"]["procfs"]
        assert took["voluntary_switches"] >= 3 * SWITCHES
        assert took["minor_faults"] >= 3 * PAGES
        assert took["read_bytes"] >= 0
        # a lower bound of the same
        assert section["tasks"]["minor_faults"] <= took["minor_faults"] + 5_000
        assert section["machine"]["forks"] >= 3
    assert ("Totals from /proc" in done.stderr) == (not options)
    assert ("minor faults" in done.stderr) == bool(options)
