"""An agent in namespaces of its own: its numbers and its clocks are not those of the programs."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
import requests
from fakes import faults, users
from fakes.checks import codes
from fakes.copied_package import Copy
from fakes.durations import assert_lasted
from fakes.marks import MARKS, marks, order
from fakes.processes import children, status_field
from fakes.program import PROGRAMS, Program, program
from fakes.real_agent import ANSWER_SECONDS, RealAgent
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.interpreter import PACKAGE_FOLDER, own_module
from agent.client.spawn import running_agent
from agent.model import TIMINGS
from agent.words import Json

NSENTER = "/usr/bin/nsenter"


@dataclass
class Namespaced:
    """An agent in a namespace, and the pid in the initial namespace of its first process."""

    agent: RealAgent
    supervisor: int

    @contextmanager
    def program(self, name: str) -> Iterator[Program]:
        """Run a program beside the agent, in the agent's pid and mount namespaces."""
        with program(name, before=self.entering()) as inside:
            yield inside

    def entering(self) -> tuple[str, ...]:
        return (NSENTER, f"--target={self.supervisor}", "--pid", "--mount", "--")


@contextmanager
def agent_in(
    *namespace: str, folder: Path = PACKAGE_FOLDER, arguments: Sequence[str] = ()
) -> Iterator[Namespaced]:
    started = own_module("agent", folder=folder)
    wrapper = (sys.executable, "-ES", str(PROGRAMS / "namespaced.py"), *namespace)
    invocation = replace(started, command=(*wrapper, *started.command))
    with running_agent(arguments, invocation=invocation, timeout_s=PATIENCE_SECONDS) as running:
        [supervisor] = children(running.pid)
        agent = RealAgent(running)
        eventually(lambda: agent.status()["ebpf"]["available"])
        yield Namespaced(agent, supervisor)


@pytest.fixture(scope="module")
def nested() -> Iterator[Namespaced]:
    """An agent that is process 1 of its own pid namespace, as in a container."""
    with agent_in("pid") as nested:
        yield nested


def host_pid_of(inside: Program) -> int:
    """Return the number in the initial namespace of a program in another one."""
    [pid] = children(inside.pid)
    assert status_field(pid, "NSpid").split()[-1] == str(inside.ready["pid"])
    return pid


# --- pid namespaces


@pytest.mark.thorough
def test_a_pid_is_that_of_the_agents_own_namespace(nested: Namespaced) -> None:
    with nested.program("trees") as tree:
        local, host = tree.ready["pid"], host_pid_of(tree)
        assert local != host
        with nested.agent.run(scope={"pid": local}) as run:
            tree.work(order("child"))
        evidence = run.evidence
        assert (evidence["scope"]["pid"], evidence["scope"]["host_pid"]) == (local, host)
        assert evidence["scope"]["command"] == Path(f"/proc/{host}/comm").read_text().strip()
        assert run.started["scope"] == evidence["scope"]
    assert marks(evidence) == MARKS
    assert "scope_incomplete" not in codes(evidence)
    numbers = {row["tid"]: row["namespace_tid"] for row in evidence["runqlat"]["by_thread"]["top"]}
    assert numbers[host] == local


@pytest.mark.thorough
def test_a_caller_is_found_in_the_agents_own_namespace(nested: Namespaced) -> None:
    caller = (sys.executable, PROGRAMS / "caller.py", "plain", nested.agent.url, str(MARKS))
    done = subprocess.run(
        [*nested.entering(), *caller], stdout=subprocess.PIPE, timeout=ANSWER_SECONDS, check=True
    )
    said = json.loads(done.stdout)
    assert said["evidence"]["scope"]["pid"] == said["pid"]
    assert marks(said["evidence"]) == 2 * MARKS


def test_a_process_outside_the_namespace_cannot_be_the_scope(nested: Namespaced) -> None:
    answer = start(nested, {"pid": os.getpid()})
    assert (answer["error"], answer["field"]) == ("no_such_process", "scope")
    assert "namespace" in answer["message"]
    assert start(nested, "caller")["error"] == "caller_unknown"


@pytest.mark.thorough
def test_who_is_outside_the_namespace_is_no_caller_over_a_socket_either(tmp_path: Path) -> None:
    """The kernel says 0 for its number: it has none in the agent's namespace."""
    path = tmp_path / "s"
    with agent_in("pid", arguments=["--socket", str(path)]) as nested:
        status, answer = users.start(path, "caller")
        assert (status, answer["error"]) == (422, "caller_unknown")
        assert not nested.agent.status()["running"]


def start(nested: Namespaced, scope: object) -> Json:
    body = {"scope": scope}
    answer = requests.post(f"{nested.agent.url}/start", json=body, timeout=ANSWER_SECONDS)
    assert answer.status_code == 422, answer.text
    refusal: Json = answer.json()
    return refusal


@pytest.mark.thorough
def test_in_a_namespace_the_agent_knows_itself(nested: Namespaced) -> None:
    """In any scope: by its numbers in the namespace it would leave others out, and not itself."""
    for process in nested.agent.status()["processes"]:
        assert start(nested, {"pid": process["pid"]})["error"] == "scope_is_the_agent"
    count = 500
    with nested.agent.run() as run, requests.Session() as client:
        for _ in range(count):
            client.get(f"{nested.agent.url}/status", timeout=ANSWER_SECONDS).raise_for_status()
    own = {nested.supervisor, *children(nested.supervisor)}
    rows = run.evidence["runqlat"]["by_thread"]["top"]
    assert not own & {row["tid"] for row in rows}
    assert run.evidence["completeness"]["streams"]["runqlat"]["excluded"] > count / 2
    assert all(row["cpu_ms"] > 0 for row in run.evidence["overhead"]["processes"])


def test_a_run_of_the_whole_machine_says_what_it_cannot_look_at(nested: Namespaced) -> None:
    with nested.agent.run() as run:
        pass
    assert run.evidence["completeness"]["verdict"] == "degraded"
    assert "scope_incomplete" in codes(run.evidence)


@pytest.mark.thorough
def test_a_proc_of_another_namespace_is_not_read() -> None:
    """Its numbers mean other processes."""
    with agent_in("foreign_proc") as nested:
        assert start(nested, "caller")["error"] == "caller_unknown"
        with (
            nested.program("trees") as tree,
            nested.agent.run(scope={"pid": tree.ready["pid"]}) as run,
        ):
            tree.work(order("child"))
        assert marks(run.evidence) == MARKS
        assert {row["cpu_ms"] for row in run.evidence["overhead"]["processes"]} == {None}


@pytest.mark.thorough
@pytest.mark.parametrize("namespace", ["pid", "time"])
def test_where_an_iterator_visits_every_task_the_right_one_is_chosen(
    copy: Copy, namespace: str
) -> None:
    """Before 6.1 the kernel ignores which one is asked for."""
    copy.inject(faults.iterators_visit_every_task)
    arguments = [namespace, *(["100000"] if namespace == "time" else [])]
    with (
        agent_in(*arguments, folder=copy.folder) as nested,
        nested.program("trees") as tree,
        nested.agent.run(scope={"pid": tree.ready["pid"]}) as run,
    ):
        tree.work(order("child"))
        host_pid = host_pid_of(tree)
    assert marks(run.evidence) == MARKS
    assert run.evidence["scope"]["host_pid"] == host_pid
    assert run.evidence["offcpu"]["total_ms"] < 2_000 * run.evidence["duration_s"]


def test_the_process_that_a_pid_meant_is_reported(agent: RealAgent) -> None:
    """A client in a container sends its own number to an agent outside."""
    with agent.run(scope={"pid": 2}) as run:
        pass
    scope = run.evidence["scope"]
    assert (scope["command"], scope["pid"], scope["host_pid"]) == ("kthreadd", 2, 2)


def test_the_start_time_of_a_process_is_shown(agent: RealAgent) -> None:
    with program("trees") as tree:
        began = started_s(tree.pid)
        with agent.run(scope=tree.scope) as run:
            pass
    found = datetime.fromisoformat(run.evidence["scope"]["process_started_at"])
    assert found.timestamp() == pytest.approx(began, abs=0.5)


def started_s(pid: int) -> float:
    """Return when a process started, in seconds since the epoch, to a clock tick (proc(5))."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


# --- time namespaces


@pytest.mark.thorough
@pytest.mark.parametrize("ahead_s", [100_000, None], ids=["ahead", "behind"])
def test_times_are_the_kernels_in_a_time_namespace(ahead_s: int | None) -> None:
    ahead_s = ahead_s or -int(time.monotonic() / 2)
    with agent_in("time", str(ahead_s)) as nested:
        for timing in TIMINGS:
            with program("blocked") as blocked:
                before = time.monotonic()
                with nested.agent.run(scope=blocked.scope, timing=timing) as run:
                    own_ms = blocked.work("sleep 0.5")["ms"]
                    shown_ms = offcpu_ms(nested.agent.metrics())
                most_s = time.monotonic() - before
            evidence = run.evidence
            [row] = [
                row
                for row in evidence["offcpu"]["top_reasons"]
                if row["reason"] == "clock_nanosleep"
            ]
            assert_lasted(row["ms"], evidence, own_ms)
            assert own_ms / 1e3 < evidence["duration_s"] < most_s
            assert evidence["offcpu"]["total_ms"] < 2 * most_s * 1e3
            assert own_ms / 2 < shown_ms < 2 * most_s * 1e3
            began, ended = (
                datetime.fromisoformat(evidence[name]) for name in ("started_at", "stopped_at")
            )
            assert own_ms / 1e3 < (ended - began).total_seconds() < 2 * most_s


def offcpu_ms(page: str) -> float:
    """Return the blocked time of the run in progress, as /metrics shows it."""
    [value] = re.findall(r"^chainbench_offcpu_milliseconds_total\{.*\} (.+)$", page, re.MULTILINE)
    return float(value)
