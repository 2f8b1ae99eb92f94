"""Injected faults of the kernel side: losses are counted, and errors are reported."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from fakes import faults
from fakes.checks import codes
from fakes.copied_package import Copy
from fakes.disks import READS, TOLD_OF, Disk, read_at_once
from fakes.proc import resident_kib
from fakes.processes import Launched, launched, stopped
from fakes.program import program
from fakes.waiting import PATIENCE_SECONDS

from agent.words import Json

TURNS = 5_000
STORM = 2_500
STORM_ALLOWANCE_KIB = 4 * 1024
"""Measured: 2 MiB, and the same for 9,000 tasks. An entry of 1 KiB per task would add 2.5 MiB."""

EXECS = 5
EXECS_LOST = 1_000
"""More than the ring (7 records of 64 execs) and the open batches of eight CPUs hold."""

ONLINE = Path("/sys/devices/system/cpu/cpu1/online")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """An agent without a fault. What else is at fault here is not its own, and does not last."""
    with launched(tmp_path_factory.mktemp("sound") / "log") as agent:
        agent.settle()
        yield agent


def stream(evidence: Json, name: str = "runqlat") -> Json:
    counts: Json = evidence["completeness"]["streams"][name]
    assert all(value >= 0 for value in counts.values())
    assert counts["produced"] == counts["received"] + counts["lost"]
    return counts


def play(turns: int = TURNS) -> None:
    with program("pingpong", turns) as players:
        players.work()


@pytest.mark.thorough
def test_a_full_ring_loses_what_it_counts(copy: Copy) -> None:
    """A tiny ring, a reader that is stopped, and events that the kernel side cannot fold."""
    copy.inject(faults.small_ring, 16 << 10)
    with copy.launched() as agent:
        agent.settle()
        agent.start(sections=["exec"])
        with program("execs") as execs, stopped(agent.pid):
            execs.work(json.dumps({"how": "plain", "path": "/bin/true", "count": EXECS_LOST}))
        evidence = agent.stop()
        counts = stream(evidence, "exec")
        assert counts["lost"] > 0
        assert counts["folded"] == 0
        assert counts["produced"] >= EXECS_LOST
        assert evidence["exec"]["lost"] == counts["lost"]
        assert evidence["exec"]["exec_count"] == counts["received"]
        assert "lost" in codes(evidence)
        assert evidence["completeness"]["verdict"] == "degraded"
        lost = f'chainbench_agent_events_lost_total{{stream="exec"}} {counts["lost"]}'
        assert lost in agent.metrics()
        # the loss does not carry over to the next run
        with agent.run(sections=["exec"]) as run:
            pass
        assert stream(run.evidence, "exec")["lost"] == 0


@pytest.mark.thorough
def test_a_program_that_comes_upon_itself_is_skipped_and_counted(copy: Copy) -> None:
    """A program attached to kernel page faults causes one itself; an exec causes the first.

    (bpf_trace_printk() would also work, but it leaves its trace event enabled until the next
    reboot, and with it an ftrace probe on every context switch.)
    """
    copy.inject(faults.in_c, "PAGE_FAULT")
    copy.inject(faults.attached_elsewhere, "block_rq_requeue", "page_fault_kernel")
    copy.inject(faults.runs_instead, "on_block_rq_requeue", "page_fault")
    copy.inject(faults.runs_instead, "on_sched_process_exec", "page_fault")
    with copy.launched() as agent:
        agent.settle()
        with agent.run(sections=["biolatency", "exec"]) as run:
            for _ in range(EXECS):
                subprocess.run(["/bin/true"], check=True)
    programs = {p["hook"]: p["recursion_misses"] for p in run.evidence["overhead"]["programs"]}
    assert programs.pop("page_fault_kernel") >= EXECS
    assert not any(programs.values())
    assert "recursion" in codes(run.evidence)
    assert run.evidence["completeness"]["verdict"] == "degraded"


@pytest.mark.thorough
def test_events_that_cease_without_a_word_make_a_run_invalid(copy: Copy) -> None:
    """The supervisor still runs and answers, but released its links in the middle of the run."""
    copy.inject(faults.lets_go_on_sigusr1)
    with copy.launched() as agent:
        agent.settle()
        started = agent.start(sections=["runqlat"])
        assert started["available"], started
        play()
        os.kill(agent.supervisor, signal.SIGUSR1)
        play(5 * TURNS)
        evidence = agent.stop()
    assert "events_ceased" in codes(evidence)
    assert evidence["completeness"]["verdict"] == "invalid"
    assert stream(evidence)["received"] > 2 * TURNS


@pytest.mark.thorough
def test_clocks_that_step_back_are_clamped_and_counted(copy: Copy) -> None:
    """The fault makes every time difference negative."""
    copy.inject(faults.in_c, "CLOCK_STEPS_BACK")
    with copy.launched() as agent:
        agent.settle()
        with agent.run(sections=["runqlat"]) as run:
            play()
    counts = stream(run.evidence)
    assert counts["clamped"] == counts["produced"] > 2 * TURNS
    assert run.evidence["runqlat"]["max_us"] == 0
    assert run.evidence["runqlat"]["histogram"] == [{"bucket_us": 0, "count": counts["received"]}]


@pytest.mark.thorough
def test_a_suspended_machine_is_recorded(copy: Copy) -> None:
    """A real suspend would suspend this test too, so the size of a file simulates its length.

    The file is in a folder that any user can enter.
    """
    with tempfile.NamedTemporaryFile(dir="/tmp") as seconds:
        copy.inject(faults.suspended_for_bytes_of, seconds.name)
        with copy.launched() as agent:
            agent.settle()
            with agent.run() as run:
                os.truncate(seconds.name, 3)
            with agent.run() as next_run:
                pass
    found = run.evidence["completeness"]["reasons"]
    assert "suspended: the machine was suspended for 3.0 s" in found
    assert run.evidence["completeness"]["verdict"] == "degraded"
    assert "suspended" not in codes(next_run.evidence)


@pytest.mark.thorough
def test_a_fork_storm_is_counted_and_kept_within_bounds(sound: Launched) -> None:
    with program("storm", STORM) as storm:
        with sound.run(scope=storm.scope):
            pass
        before = resident_kib(sound.pid)
        with sound.run(scope=storm.scope) as run:
            storm.work()
    assert run.evidence["exec"]["forks"] == STORM
    assert run.evidence["completeness"]["verdict"] != "invalid"
    by_command = run.evidence["runqlat"]["by_command"]
    assert len(by_command["top"]) <= 20
    counted = by_command["other"]["count"] + sum(row["count"] for row in by_command["top"])
    assert counted == run.evidence["runqlat"]["count"] >= STORM
    assert stream(run.evidence, "exit")["produced"] >= STORM
    assert resident_kib(sound.pid) < before + STORM_ALLOWANCE_KIB


@pytest.mark.thorough
def test_a_full_table_of_requests_is_counted(
    copy: Copy, disk: Disk, tool: Callable[[str], str]
) -> None:
    """The table has room for one request, and 32 are in flight at a time."""
    copy.inject(faults.requests_in_flight, 1)
    with copy.launched() as agent:
        agent.settle()
        with agent.run(sections=["biolatency"]) as run:
            read_at_once(tool("fio"), disk.folder)
    counts = stream(run.evidence, "biolatency")
    assert counts["collided"] > 0
    assert "collided" in codes(run.evidence)
    assert run.evidence["completeness"]["verdict"] == "degraded"
    # requests whose issue time was not stored are timed from their allocation: none is missing
    assert counts["unmatched"] > 0
    assert counts["produced"] >= READS * TOLD_OF


@pytest.mark.thorough
def test_a_table_with_room_separates_queue_and_device_time(
    sound: Launched, disk: Disk, tool: Callable[[str], str]
) -> None:
    with sound.run(sections=["biolatency"]) as run:
        read_at_once(tool("fio"), disk.folder)
    assert stream(run.evidence, "biolatency")["collided"] == 0
    rows = [r for r in run.evidence["biolatency"]["by_operation"] if r["operation"] == "read"]
    assert sum(row["count"] for row in rows) >= READS * TOLD_OF
    # 32 requests are allocated before the first is issued
    assert sum(row["queue_ms"] for row in rows) > 0


def switch_cpu(online: str) -> None:
    """Take the CPU offline ("0") or online; a kernel that does not come back says where it is."""
    command = ["sh", "-c", 'echo "$1" >"$2"', "sh", online, str(ONLINE)]
    writer = subprocess.Popen(command)
    try:
        status = writer.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        # it may not be killed while it is there, so it is not waited for
        stack = Path(f"/proc/{writer.pid}/stack").read_text()
        pytest.fail(f"writing {online} to {ONLINE} does not end:\n{stack}")
    assert status == 0


@pytest.mark.thorough(but="ring")
@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_a_cpu_that_goes_offline_in_the_middle(sound: Launched, transport: str) -> None:
    if not ONLINE.exists() or os.getuid() != 0:
        pytest.skip(f"no CPU can be taken offline here: no {ONLINE}, or not root")
    started = sound.start(transport=transport)
    assert started["available"], started
    try:
        play()
        switch_cpu("0")
        play()
        evidence = sound.stop()
    finally:
        switch_cpu("1")
    assert "cpus_changed" in codes(evidence)
    assert evidence["completeness"]["verdict"] == "degraded"
    assert stream(evidence)["received"] > 4 * TURNS
    with sound.run(transport=transport) as run:
        play()
    assert stream(run.evidence)["received"] > 2 * TURNS


@pytest.mark.thorough
def test_a_process_that_ends_while_its_run_is_about_to_begin(copy: Copy) -> None:
    """The run is refused: its scope would be empty."""
    copy.inject(faults.root_ends_early)
    with copy.launched() as agent, subprocess.Popen(["sleep", "60"]) as process:
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        body = {"scope": {"pid": process.pid}}
        answer = requests.post(f"{agent.url}/start", json=body, timeout=30)
        reaper.join()
        assert (answer.status_code, answer.json()["error"]) == (422, "no_such_process")
        assert "ended before the run began" in answer.json()["message"]
        assert not agent.status()["running"]


@pytest.mark.thorough
def test_a_process_that_the_kernel_hides_is_not_reported_as_absent(copy: Copy) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        copy.inject(faults.iterators_hide, process.pid)
        try:
            with copy.launched() as agent:
                body = {"scope": {"pid": process.pid}}
                answer = requests.post(f"{agent.url}/start", json=body, timeout=30)
                assert (answer.status_code, answer.json()["error"]) == (422, "process_not_shown")
                assert f"process {process.pid} exists" in answer.json()["message"]
                assert not agent.status()["running"]
        finally:
            process.kill()
