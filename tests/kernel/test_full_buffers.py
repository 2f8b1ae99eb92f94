"""No event is lost while the agent does not run: waits are folded in the kernel, and exec and exit
find the room that the others leave."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import faults
from fakes.block_devices import Direct, zram_disk
from fakes.checks import codes
from fakes.copied_package import Copy
from fakes.disks import READS, TOLD_OF, Disk, read_at_once
from fakes.needs import needs
from fakes.processes import Launched, launched, service, stopped
from fakes.program import program

from agent.aggregate.histogram import LatencyHistogram
from agent.model import TIMINGS, TRANSPORTS
from agent.streams.shared.layout import MAPS_BYTES
from agent.streams.supervisor.maps import this_machine
from agent.words import Json

TURNS = 50_000
SMALL = 64 << 10
"""Bytes: 31 records of 256 waits, of which a quarter is left to others."""
EXECS = 300
RESERVING = 256 << 10
"""Bytes: a quarter of it holds 31 records, each of 16 exits or 64 execs."""
TINY = 8 << 10
"""Bytes: two records of 64 requests, and one that is left to others."""


@pytest.fixture(scope="module", params=[pytest.param(SMALL, id="64 KiB")])
def small(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launched]:
    """An agent with small buffers, shared by the tests that need the same size of them."""
    copy = Copy(tmp_path_factory.mktemp("small"))
    copy.inject(faults.small_ring, request.param)
    copy.inject(faults.small_perf_buffers, request.param)
    with copy.launched() as agent:
        agent.settle()
        yield agent


def of_size(size: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("small", [size], indirect=True, ids=[f"{size >> 10} KiB"])


def counts_of(evidence: Json, stream: str = "runqlat") -> Json:
    counts: Json = evidence["completeness"]["streams"][stream]
    assert counts["produced"] == counts["received"] + counts["lost"]
    return counts


def check(evidence: Json, name: str) -> Json:
    [found] = [check for check in evidence["checks"] if check["name"] == name]
    return dict(found)


@pytest.mark.thorough(but="64 KiB-ring-clock")
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stopped_agent_loses_no_wait(small: Launched, transport: str, timing: str) -> None:
    with program("pingpong", TURNS) as players:
        body = {"scope": players.scope, "transport": transport, "timing": timing}
        with small.run(sections=["runqlat", "offcpu"], **body) as run:
            players.work()
            with stopped(small.pid):
                players.work()
            players.work()
    evidence = run.evidence
    counts = counts_of(evidence)
    assert counts["lost"] == 0
    assert counts["folded"] > TURNS
    # what was streamed before and after is more than the buffers hold
    assert counts["received"] - counts["folded"] > TURNS
    assert evidence["runqlat"]["count"] == counts["received"]
    assert evidence["overhead"]["events_by_stream"]["runqlat"] == counts["received"]
    for breakdown in (evidence["runqlat"]["by_thread"], evidence["runqlat"]["by_command"]):
        rows = [*breakdown["top"], breakdown["other"]]
        assert sum(row["count"] for row in rows) == counts["received"]
        total_us = sum(row["total_us"] for row in rows)
        assert total_us == pytest.approx(counts["received"] * evidence["runqlat"]["mean_us"])
    assert check(evidence, "run_queue_wait")["pass"]
    assert "lost" not in codes(evidence)
    assert "unaccounted" not in codes(evidence)


@pytest.mark.thorough
def test_the_verdict_on_a_run_with_a_stopped_agent_is_complete(small: Launched) -> None:
    with program("pingpong", TURNS) as players, small.run(scope=players.scope) as run:
        players.work()
        with stopped(small.pid):
            players.work()
    assert counts_of(run.evidence)["folded"] > 0
    assert run.evidence["completeness"]["verdict"] == "complete", run.evidence["completeness"]


@pytest.mark.thorough
def test_how_long_the_agent_did_not_run_is_shown(small: Launched) -> None:
    seconds = 1.5
    with small.run(sections=["runqlat"]) as run, stopped(small.pid):
        time.sleep(seconds)
    overhead = run.evidence["overhead"]
    assert overhead["longest_drain_gap_ms"] >= seconds * 1000
    for process in overhead["processes"]:
        assert process["run_delay_ms"] >= 0


@pytest.mark.thorough
def test_metrics_in_the_middle_have_what_was_folded(small: Launched) -> None:
    def shown() -> list[float]:
        page = small.metrics()
        names = (
            'chainbench_agent_events_folded_total{stream="runqlat"}',
            'chainbench_agent_events_received_total{stream="runqlat"}',
            "chainbench_runqlat_microseconds_count",
        )
        return [sum(numbers(page, name)) for name in names]

    before = shown()
    with program("pingpong", TURNS) as players, small.run(scope=players.scope):
        with stopped(small.pid):
            players.work()
        folded, received, count = (now - then for now, then in zip(shown(), before, strict=True))
    assert folded > TURNS
    assert received >= 2 * TURNS
    assert count == received


def numbers(page: str, name: str) -> list[float]:
    return [float(line.split()[-1]) for line in page.splitlines() if line.startswith(name)]


@pytest.mark.thorough
@pytest.mark.parametrize("shared", [False, True], ids=["a table a CPU", "one table"])
def test_folded_is_streamed_slot_by_slot(copy: Copy, shared: bool) -> None:
    """The same waits are streamed and folded, from 0 ns to beyond the histogram's range."""
    copy.inject(faults.in_c, "FOLDED_AS_WELL")
    copy.inject(faults.folded_apart)
    if shared:
        copy.inject(faults.shared_fold_tables)
    with copy.launched() as agent:
        agent.settle()
        with (
            program("pingpong", TURNS) as players,
            agent.run(sections=["runqlat"]) as run,
        ):
            players.work()
    streamed, folded = run.evidence["runqlat"], run.evidence["runqlat"]["folded"]
    assert folded["count"] > TURNS
    assert folded["overflow"] > 0
    slots = [LatencyHistogram.decode(latency["hdr"]).counts for latency in (streamed, folded)]
    assert (slots[0] == slots[1]).all()
    assert (slots[0] > 0).sum() > 10_000
    for exact in ("count", "overflow", "min_us", "max_us", "mean_us"):
        assert folded[exact] == streamed[exact]


@pytest.mark.thorough
@of_size(RESERVING)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_execs_and_exits_find_room_in_full_buffers(small: Launched, transport: str) -> None:
    with (
        small.run(transport=transport, scope={"pid": os.getpid()}) as run,
        program("pingpong", TURNS) as players,
        program("execs") as execs,
        stopped(small.pid),
    ):
        players.work()
        execs.work(json.dumps({"how": "plain", "path": "/bin/true", "count": EXECS}))
        players.work()
    for stream in ("exec", "exit"):
        counts = counts_of(run.evidence, stream)
        assert counts["lost"] == 0
        assert counts["received"] >= EXECS
    assert counts_of(run.evidence)["folded"] > TURNS
    # reports of threads take none of that room: they are lost, and that is said
    reports, by_thread = counts_of(run.evidence, "threads"), run.evidence["wall"]["by_thread"]
    assert reports["produced"] == counts_of(run.evidence, "exit")["produced"]
    # (with perf buffers, those of a CPU whose own buffer has room find some)
    assert reports["lost"] > 0 or transport == "perf"
    assert by_thread["threads"] >= reports["received"]
    assert by_thread["lost"] == reports["lost"]
    assert ("lost" in codes(run.evidence)) == (reports["lost"] > 0)


@pytest.mark.thorough
@of_size(TINY)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_block_requests_are_folded_without_their_device(
    small: Launched, disk: Disk, tool: Callable[[str], str], transport: str
) -> None:
    """Buffers of a few records of 64 requests, and an agent that is stopped meanwhile."""
    with small.run(sections=["biolatency"], transport=transport) as run, stopped(small.pid):
        read_at_once(tool("fio"), disk.folder)
    evidence = run.evidence
    counts = counts_of(evidence, "biolatency")
    assert counts["lost"] == 0
    assert counts["folded"] > READS / 4
    assert counts["produced"] >= READS * TOLD_OF
    assert "folded" in codes(evidence)
    assert evidence["completeness"]["verdict"] == "degraded"
    assert not [check for check in evidence["checks"] if check["name"].startswith("block_")]
    # they are in the distributions, and in no row of the table
    in_rows = sum(row["count"] for row in evidence["biolatency"]["by_operation"])
    assert in_rows + counts["folded"] == counts["received"]
    for distribution in (evidence["biolatency"], evidence["biolatency"]["with_queue"]):
        assert in_rows < distribution["count"] <= counts["received"]


@pytest.mark.thorough
@of_size(TINY)
def test_bios_are_folded_without_their_device(small: Launched) -> None:
    blocks = 1_000
    with (
        zram_disk(16) as device,
        Direct(device.path) as direct,
        small.run(sections=["biolatency"]) as run,
        stopped(small.pid),
    ):
        direct.write(blocks)
        direct.read(blocks)
    counts = counts_of(run.evidence, "bios")
    assert counts["lost"] == 0
    assert counts["received"] == 2 * blocks
    assert counts["folded"] > blocks
    assert "folded" in codes(run.evidence)
    biolatency = run.evidence["biolatency"]
    assert biolatency["count"] >= 2 * blocks
    assert biolatency["with_queue"]["count"] >= 2 * blocks
    in_rows = sum(
        row["count"] for row in biolatency["by_operation"] if row["device"] == device.number
    )
    assert in_rows + counts["folded"] == 2 * blocks


@pytest.mark.thorough
def test_the_kernel_takes_the_memory_that_the_sizes_say(own_agent: Launched) -> None:
    with own_agent.run() as run:
        pass
    geometry = this_machine()
    taken = run.evidence["overhead"]["map_bytes"]
    assert taken == pytest.approx(geometry.maps_bytes(), rel=0.005)
    if geometry.cpus <= 64:
        assert taken <= 1.005 * MAPS_BYTES


def nice_of(pid: int) -> str:
    return Path(f"/proc/{pid}/autogroup").read_text().split()[-1]


needs_autogroups = needs(Path("/proc/self/autogroup").exists(), "autogroups")


@needs_autogroups
def test_a_session_of_its_own_is_favoured_during_a_run(tmp_path: Path) -> None:
    with launched(tmp_path / "log", before=("setsid",)) as agent:
        agent.settle()
        Path(f"/proc/{agent.supervisor}/autogroup").write_text("3")
        with agent.run():
            assert nice_of(agent.supervisor) == nice_of(agent.pid) == "-20"
        assert nice_of(agent.supervisor) == "3"


@pytest.mark.thorough
@needs_autogroups
def test_the_session_of_a_workload_is_not_favoured(tmp_path: Path) -> None:
    shell = ("sh", "-c", '"$@"; exit', "sh")
    with service(tmp_path / "log", before=shell) as agent:
        agent.settle()
        with agent.run():
            assert nice_of(agent.pid) == "0"
