"""A run about a process ends by itself with the last of its tree, whether or not a client asks."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from fakes.marks import marks, order
from fakes.needs import needs_io_uring
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

from agent.client.http_client import AgentRefused
from agent.client.interpreter import own_module
from agent.model import TIMINGS
from agent.recording.recorder import LOOK_S
from agent.words import Json

THOROUGH = pytest.mark.thorough


def idle(agent: RealAgent) -> bool:
    return agent.status()["state"] == "idle"


def test_a_run_whose_client_is_gone_ends_with_the_last_process(agent: RealAgent) -> None:
    with program("trees") as tree:
        run_id = agent.start(scope=tree.scope)["run_id"]
        made = tree.work(order("storm", count=20))["marks"]
    eventually(lambda: idle(agent))
    evidence = agent.evidence(run_id)
    assert (evidence["ended_by"], marks(evidence)) == ("scope", made)
    # that of the whole machine's switches may fail on a busy one, however the run ended
    whole_machine = "check_failed: context_switches"
    reasons = evidence["completeness"]["reasons"]
    assert [reason for reason in reasons if not reason.startswith(whole_machine)] == []
    assert agent.stop() == evidence
    with pytest.raises(AgentRefused, match="not_running"):
        agent.stop()


@THOROUGH
def test_the_run_lasts_as_long_as_the_tree(agent: RealAgent) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        began = time.monotonic()
        agent.start(scope={"pid": process.pid})
        process.kill()
        process.wait()
        lasted = time.monotonic() - began
    # long enough for the agent to notice, which is no part of the run
    time.sleep(2 * LOOK_S)
    evidence = agent.stop()
    assert evidence["ended_by"] == "scope"
    assert 0 < evidence["duration_s"] <= lasted
    assert evidence["measured_from"] <= evidence["measured_to"] < evidence["stopped_at"]


@pytest.mark.thorough
def test_descendants_that_live_on_are_still_measured(agent: RealAgent) -> None:
    script = "read go; sleep 600 > /dev/null & echo $!"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        run_id = agent.start(scope={"pid": shell.pid})["run_id"]
        child = int(shell.communicate("go\n")[0])
    try:
        time.sleep(2.5 * LOOK_S)
        assert agent.status()["run_id"] == run_id
        with pytest.raises(AgentRefused, match="run_in_progress"):
            agent.start()
    finally:
        os.kill(child, signal.SIGKILL)
    eventually(lambda: idle(agent))
    assert agent.stop()["run_id"] == run_id


def free_at_once(agent: RealAgent, run_id: str, **body: Any) -> Json:
    """Assert that another run may begin now; return the evidence of the one that is over."""
    with agent.run(**body):
        pass
    evidence = agent.evidence(run_id)
    assert evidence["ended_by"] == "scope"
    return evidence


@THOROUGH
@pytest.mark.parametrize(
    ("how", "details"),
    [
        ("itself", {}),
        ("shortly", {"count": 20}),
        ("threads", {"count": 8}),
        ("forks_of_threads", {"count": 8}),
        ("storm", {"count": 100}),
        ("exec_of_a_thread", {"count": 5}),
    ],
)
def test_a_start_is_accepted_as_soon_as_the_last_process_is_gone(
    agent: RealAgent, how: str, details: dict[str, int]
) -> None:
    for body in (
        *({"timing": timing} for timing in TIMINGS),
        {"sections": ["exec"]},
        {"sections": ["syscall_counts"]},
    ):
        with program("trees") as tree:
            run_id = agent.start(scope=tree.scope, **body)["run_id"]
            tree.work(order(how, **details))
        free_at_once(agent, run_id)


@THOROUGH
@needs_io_uring
def test_threads_that_the_kernel_creates_end_too(agent: RealAgent) -> None:
    with program("workers", 100) as workers:
        run_id = agent.start(scope=workers.scope)["run_id"]
        workers.work()
    eventually(lambda: idle(agent))
    assert agent.stop()["run_id"] == run_id


@THOROUGH
def test_a_tree_in_the_middle_of_forks_and_exits_is_counted_right(agent: RealAgent) -> None:
    """Its members are found while they are born, exec and exit: none is missed, none is left."""
    script = "while :; do (:) & (:) & /bin/true & wait; done"
    for turn in range(12):
        with subprocess.Popen(["sh", "-c", script], start_new_session=True) as storm:
            time.sleep(0.02)
            body = {"timing": TIMINGS[turn % 2]} if turn % 3 else {"sections": ["exec"]}
            run_id = agent.start(scope={"pid": storm.pid}, **body)["run_id"]
            time.sleep(0.05)
            assert agent.status()["run_id"] == run_id
            os.killpg(storm.pid, signal.SIGKILL)
        eventually(lambda: idle(agent))
        assert agent.stop()["run_id"] == run_id


@THOROUGH
def test_a_caller_is_a_tree_too(agent: RealAgent, tool: Callable[[str], str]) -> None:
    said = [
        tool("curl"),
        "-sS",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"scope": "caller"}',
    ]
    subprocess.run([*said, f"{agent.url}/start"], stdout=subprocess.DEVNULL, check=True)
    eventually(lambda: idle(agent))
    assert agent.stop()["scope"]["kind"] == "caller"


@pytest.mark.parametrize("command", ["run", pytest.param("record", marks=THOROUGH)])
def test_a_client_that_is_killed_leaves_no_run_behind(agent: RealAgent, command: str) -> None:
    with subprocess.Popen(["sleep", "600"]) as target:
        about = ["--", "sleep", "600"] if command == "run" else ["--pid", str(target.pid)]
        line = own_module("agent", command, "--agent", agent.url, *about).command
        with subprocess.Popen(line, stdin=subprocess.DEVNULL) as client:
            eventually(lambda: agent.status()["state"] == "running")
            client.kill()
        target.kill()
    eventually(lambda: idle(agent))
    assert agent.stop()["ended_by"] == "scope"
