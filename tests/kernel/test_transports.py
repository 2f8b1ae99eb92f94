"""Ring and perf buffers: both deliver the same events, and both count every loss."""

import fcntl
import json
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio
from fakes.collecting import Collecting, collecting
from fakes.needs import needs_two_cpus
from fakes.proc import switches
from fakes.program import Program, program
from fakes.real_agent import RealAgent, running
from fakes.transport_memory import FakeWakeups

from agent.streams.collect.observed import Stopped, StreamCounts
from agent.streams.drain.poller import Drain
from agent.streams.drain.transport import buffer_size, rare_size
from agent.streams.drain.wakeups import Wakeups
from agent.streams.shared.layout import BATCH_WORDS, STREAM_NUMBERS

TURNS = 50_000
EXECS = 800
LOOKS = 10
CPUS = os.cpu_count() or 1
PAGE = resource.getpagesize()
STREAM_EXEC = STREAM_NUMBERS["exec"]
ONE_RECORD = PAGE
"""A buffer of one page holds one record: until that is read, there is no room for another batch."""

PERF_EVENT_IOC_DISABLE = 0x2401


async def play(players: Program) -> int:
    """Play ping-pong, and return the number of switches of its two processes."""
    tids = players.ready["tids"]
    before = sum(map(switches, tids))
    await trio.to_thread.run_sync(players.work)
    return sum(map(switches, tids)) - before


def assert_adds_up(here: Collecting, stopped: Stopped, players: Program) -> StreamCounts:
    counts = stopped.observed.streams["runqlat"]
    assert counts.received == here.waits.total() + here.folded
    assert counts.folded == here.folded
    assert counts.lost == 0
    assert set(here.waits) == set(players.ready["tids"])
    assert counts.produced == counts.received + counts.lost
    return counts


def test_both_give_the_same_counts(agent: RealAgent) -> None:
    """Samples per context switch, relative to the kernel's own count of switches."""
    ratios = {}
    with program("pingpong", TURNS) as players:
        tids = players.ready["tids"]
        for transport in ("ring", "perf"):
            before = sum(map(switches, tids))
            with agent.run(scope=players.scope, sections=["runqlat"], transport=transport) as run:
                assert agent.status()["transport"] == transport
                players.work()
                made = sum(map(switches, tids)) - before
            stream = run.evidence["completeness"]["streams"]["runqlat"]
            assert stream["produced"] == stream["received"] + stream["lost"]
            assert run.evidence["manifest"]["transport"] == transport
            assert run.evidence["completeness"]["verdict"] == "complete"
            ratios[transport] = stream["received"] / made
    assert ratios["ring"] == pytest.approx(1, rel=0.01)
    assert ratios["perf"] == pytest.approx(ratios["ring"], rel=0.01)


@pytest.mark.thorough
@pytest.mark.parametrize("transport", ["ring", "perf"])
async def test_what_a_small_buffer_has_no_room_for_is_folded(
    tmp_path: Path, transport: str
) -> None:
    async with collecting(tmp_path, ring_bytes=ONE_RECORD, perf_bytes=ONE_RECORD) as here:
        here.folding_s = 0.01
        with program("pingpong", TURNS) as players:
            for _ in range(2):
                await here.start(players.pid, transport)
                made = await play(players)
                stopped = await here.collector.stop()
                counts = assert_adds_up(here, stopped, players)
                assert counts.folded > TURNS // 10
                assert counts.received > counts.folded + BATCH_WORDS
                assert counts.produced == pytest.approx(made, rel=0.01)
                # one in 64 of the events that found the batch full tried to submit it
                refused = stopped.refused_records
                if transport == "ring":
                    assert refused is None
                else:
                    assert refused is not None
                    assert counts.folded / 64 <= refused <= counts.folded / 64 + CPUS


@pytest.mark.thorough
@pytest.mark.parametrize("transport", ["ring", "perf"])
async def test_what_a_small_buffer_loses_is_counted_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """Execs cannot be folded in the kernel, and here nothing is read before the stop."""

    async def never(self: Drain, interval: float) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Drain, "run", never)
    async with collecting(tmp_path, ring_bytes=ONE_RECORD, perf_bytes=ONE_RECORD) as here:
        order = json.dumps({"how": "plain", "path": "/bin/true", "count": EXECS})
        with program("execs") as execs:
            for _ in range(2):
                await here.start(execs.pid, transport, ("exec",))
                await trio.to_thread.run_sync(execs.work, order)
                stopped = await here.collector.stop()
                counts = stopped.observed.streams["exec"]
                assert counts.produced == EXECS
                assert counts.received == here.others[STREAM_EXEC] // 4
                assert counts.lost == EXECS - counts.received > 0
                # each event that found the batch full made one attempt to submit it
                refused = stopped.refused_records
                assert refused == (counts.lost if transport == "perf" else None)


@pytest.mark.thorough(but="ring")
@pytest.mark.parametrize("transport", ["ring", "perf"])
async def test_a_look_in_the_middle_takes_nothing_twice(tmp_path: Path, transport: str) -> None:
    async with collecting(tmp_path) as here:
        with program("pingpong", TURNS) as players:
            await here.start(players.pid, transport)
            looks = 0
            async with trio.open_nursery() as nursery:

                async def look() -> None:
                    nonlocal looks
                    while True:
                        await here.collector.refresh()
                        looks += 1
                        await trio.lowlevel.checkpoint()

                nursery.start_soon(look)
                made = 0
                while looks <= LOOKS:
                    made += await play(players)
                nursery.cancel_scope.cancel()
            counts = assert_adds_up(here, await here.collector.stop(), players)
    assert counts.lost == 0
    assert counts.received == pytest.approx(made, rel=0.01)


async def test_a_quiet_run_is_read_from_the_open_batches(tmp_path: Path) -> None:
    async with collecting(tmp_path) as here:
        with program("pingpong", 20) as players:
            await here.start(players.pid, "perf")
            made = await play(players)
            counts = assert_adds_up(here, await here.collector.stop(), players)
    assert made <= counts.received < BATCH_WORDS


@pytest.mark.thorough(but="True-perf")
@pytest.mark.parametrize(("without_ring", "transport"), [(False, "ring"), (True, "perf")])
async def test_auto_takes_the_ring_where_there_is_one(
    tmp_path: Path, without_ring: bool, transport: str
) -> None:
    async with collecting(tmp_path, without_ring=without_ring) as here:
        with program("pingpong", TURNS // 10) as players:
            arming = await here.start(players.pid, "auto")
            await play(players)
            counts = assert_adds_up(here, await here.collector.stop(), players)
    assert arming.transport == transport
    assert counts.received > TURNS // 10
    assert counts.lost == 0


@pytest.fixture
async def first_cpu_only(tmp_path: Path) -> AsyncIterator[Collecting]:
    """A collector and a supervisor to which all CPUs but the first appear to be offline."""
    async with collecting(tmp_path) as here:
        here.online.write_text("0\n")
        yield here


@pytest.mark.thorough
@needs_two_cpus
async def test_a_cpu_that_comes_online_during_a_run_is_followed(first_cpu_only: Collecting) -> None:
    here = first_cpu_only
    with program("pingpong", TURNS) as players:
        for tid in players.ready["tids"]:
            os.sched_setaffinity(tid, {1})
        await here.start(players.pid, "perf")
        unseen = await play(players)
        so_far = (await here.collector.refresh()).streams["runqlat"]
        assert so_far.received - so_far.folded <= BATCH_WORDS
        here.client.offered = trio.Event()
        here.online.write_text("0-1\n")
        with trio.fail_after(30):
            await here.client.offered.wait()
        seen = await play(players)
        stopped = await here.collector.stop()
    counts = assert_adds_up(here, stopped, players)
    assert counts.folded == pytest.approx(unseen, rel=0.05)
    assert counts.received - counts.folded == pytest.approx(seen, rel=0.05)
    # without a buffer nothing can be refused
    assert stopped.refused_records == 0


@pytest.mark.thorough
@needs_two_cpus
async def test_a_cpu_that_was_offline_between_runs_gets_a_new_buffer(tmp_path: Path) -> None:
    """A disabled event refuses records, as an event does permanently once its CPU went offline."""
    async with collecting(tmp_path) as here:
        with program("pingpong", TURNS // 10) as players:
            await here.start(players.pid, "perf")
            await here.collector.stop()
            for fd in here.client.fds:
                fcntl.ioctl(fd, PERF_EVENT_IOC_DISABLE, 0)
            events = len(here.client.fds)
            for _ in range(2):
                await here.start(players.pid, "perf")
                made = await play(players)
                counts = assert_adds_up(here, await here.collector.stop(), players)
                assert counts.lost == 0
                assert counts.received == pytest.approx(made, rel=0.01)
            assert len(here.client.fds) == 2 * events


@pytest.mark.thorough
async def test_the_kernel_wakes_the_reader_of_a_buffer_that_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The buffer fills many times, and the timer is disabled."""
    monkeypatch.setattr("agent.streams.collect.running.DRAIN_INTERVAL_S", 3600)
    async with collecting(tmp_path, perf_bytes=256 << 10) as here:
        with program("pingpong", 10 * TURNS) as players:
            await here.start(players.pid, "perf")
            made = await play(players)
            counts = assert_adds_up(here, await here.collector.stop(), players)
    # without wakeups the buffer would hold a thirtieth of them
    assert counts.received - counts.folded > made / 2


@pytest.mark.thorough
async def test_a_wakeup_that_nobody_waited_for_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports a wakeup once, and epoll polls twice."""
    monkeypatch.setattr("agent.streams.collect.running.DRAIN_INTERVAL_S", 3600)
    async with collecting(tmp_path, perf_bytes=64 << 10, wakeups=FakeWakeups()) as here:
        with program("pingpong", TURNS) as players, closing(Wakeups()) as wakeups:
            await here.start(players.pid, "perf")
            for fd in here.client.fds:
                wakeups.add(fd)
            for _ in range(3):
                await play(players)
                with trio.fail_after(30):
                    await wakeups.wait()
                await here.collector.refresh()
                with trio.move_on_after(0.1) as waited:
                    await wakeups.wait()
                assert waited.cancelled_caught
            assert_adds_up(here, await here.collector.stop(), players)


@pytest.mark.thorough(but="1")
@pytest.mark.parametrize("part", [0, 1])
def test_buffers_are_as_large_as_the_limit_on_locked_memory_allows(part: int) -> None:
    """Each CPU adds ``perf_event_mlock_kb`` to the limit. One page holds the positions."""
    with locked_memory_limit(part) as limit, running(["--transport", "perf"]) as agent:
        [pid] = [p["pid"] for p in agent.status()["processes"] if p["role"] == "agent"]
        mapped = perf_mappings(pid)
    cpus = os.cpu_count() or 1
    granted = int(Path("/proc/sys/kernel/perf_event_mlock_kb").read_text()) * 1024 * cpus + limit
    size = buffer_size(cpus)
    while (2 * PAGE + size + rare_size(size)) * cpus > granted:
        size //= 2
    assert sorted(mapped) == sorted([PAGE + size, PAGE + rare_size(size)] * cpus)


@contextmanager
def locked_memory_limit(part: int) -> Iterator[int]:
    """Set the limit to nothing (0) or to the maximum (1), for processes started in this block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    limit = part * (1 << 40 if hard == resource.RLIM_INFINITY else hard)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


def perf_mappings(pid: int) -> list[int]:
    """Return the size in bytes of each perf buffer that a process has mapped."""
    rows = Path(f"/proc/{pid}/maps").read_text().splitlines()
    ranges = [row.split()[0].split("-") for row in rows if "[perf_event]" in row]
    return [int(end, 16) - int(start, 16) for start, end in ranges]
