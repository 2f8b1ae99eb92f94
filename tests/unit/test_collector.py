"""KernelCollector with a supervisor that attaches nothing."""

import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from fakes.descriptors import open_fds
from fakes.supervisor import BUFFER_SIZE, FakeSupervisor
from fakes.transport_memory import FakeWakeups, batch_id

from agent.aggregate.series import SeriesStore
from agent.errors import ScopeError
from agent.model import Scope, StartRequest
from agent.recording.recorder import Recorder
from agent.sections.probes import DEFAULT_SECTIONS
from agent.streams.collect import cgroups, observer
from agent.streams.collect.collector import KernelCollector
from agent.streams.drain.batches import Words
from agent.streams.drain.folded import Growth
from agent.streams.drain.transport import Transports
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.layout import BATCH_WORDS, STREAM_RUNQLAT
from agent.streams.shared.messages import (
    TABLES,
    ArmRequest,
    DisarmRequest,
    PrepareRequest,
    Request,
    RescopeRequest,
    SupportRequest,
)
from agent.streams.shared.plan import Plan
from agent.streams.shared.support import Support

REQUEST = StartRequest(transport="perf")
RUNQLAT = batch_id(0, STREAM_RUNQLAT)


class CountingSink:
    """Counts the words that arrive, by stream."""

    def __init__(self) -> None:
        self.events: Counter[int] = Counter()

    def take(self, stream: int, words: Words) -> None:
        self.events[stream] += words.size

    def take_folded(self, stream: int, growths: Sequence[Growth]) -> None:
        self.events[stream] += growths[0].events


@pytest.fixture
def supervisor() -> Iterator[FakeSupervisor]:
    with closing(FakeSupervisor()) as supervisor:
        yield supervisor


@pytest.fixture
async def collector(
    supervisor: FakeSupervisor,
    tmp_path: Path,
    nursery: trio.Nursery,
) -> KernelCollector:
    online = tmp_path / "online"
    online.write_text("0\n")
    transports = Transports(supervisor, BUFFER_SIZE, online, FakeWakeups())
    collector = KernelCollector(supervisor, Plan(transport="perf"), transports)
    await nursery.start(collector.run)
    return collector


def corrupt(supervisor: FakeSupervisor) -> None:
    """Write a whole record, and one that neither our programs nor the kernel write."""
    supervisor.buffer.submit(0, RUNQLAT)
    supervisor.buffer.other(9, 16)


async def test_what_the_machine_offers_is_told_by_a_start(
    collector: KernelCollector, supervisor: FakeSupervisor
) -> None:
    await collector.start(REQUEST, CountingSink())
    assert collector.support() == supervisor.features
    await collector.stop()
    supervisor.tells_features = False  # since they are what they were
    await collector.start(REQUEST, CountingSink())
    assert collector.support() == supervisor.features
    assert not any(isinstance(request, SupportRequest) for request in supervisor.requests)


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize("is_of_scope", [False, True])
async def test_a_start_that_fails_asks_what_the_machine_offers(
    collector: KernelCollector, supervisor: FakeSupervisor, is_of_scope: bool, is_gone: bool
) -> None:
    supervisor.features = (Support("btf", "everything", "5.4", False, "no_btf", "why"),)

    def refuse(request: Request[Any]) -> None:
        if isinstance(request, ArmRequest) and is_of_scope:
            raise ScopeError("as the supervisor says", code="scope_ended")
        if isinstance(request, ArmRequest):
            raise cannot("no_btf", "as the supervisor says")
        if isinstance(request, SupportRequest) and is_gone:
            raise cannot("supervisor_lost", "later")

    supervisor.answering = refuse
    with pytest.raises((CannotCollect, ScopeError), match="as the supervisor says"):
        await collector.start(REQUEST, CountingSink())
    assert collector.support() == (() if is_gone else supervisor.features)


async def test_a_run_from_start_to_stop(
    collector: KernelCollector, supervisor: FakeSupervisor
) -> None:
    sink = CountingSink()
    arming = await collector.start(REQUEST, sink)
    assert (tuple(arming.hooks), arming.transport) == (DEFAULT_SECTIONS, "perf")
    supervisor.buffer.submit(0, RUNQLAT)
    observed = await collector.refresh()
    assert observed.streams["runqlat"].received == BATCH_WORDS
    supervisor.buffer.submit(1, RUNQLAT)
    stopped = await collector.stop()
    assert stopped.observed.streams["runqlat"].received == 2 * BATCH_WORDS
    assert sink.events == {STREAM_RUNQLAT: 2 * BATCH_WORDS}
    assert not stopped.faults
    assert not supervisor.attached


async def test_without_the_supervisors_readings_of_disks_ours_stand_for_them(
    collector: KernelCollector, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = {"biolatency": {"read_8:0": 7}}
    monkeypatch.setattr(
        observer, "read_section_counts", lambda sections, at_once: disks if at_once else {}
    )
    await collector.start(REQUEST, CountingSink())
    so_far = await collector.so_far()
    supervisor.answering = failing(DisarmRequest, cannot("supervisor_lost", "gone"))
    for _, ended in (so_far.edges, (await collector.stop()).edges):
        assert ended.sections == ended.outer == disks


async def test_the_tables_are_asked_for_once(
    collector: KernelCollector, supervisor: FakeSupervisor
) -> None:
    supervisor.answering = failing(PrepareRequest, cannot("compile_failed", "not now"))
    with pytest.raises(CannotCollect):
        await collector.prepare()
    supervisor.answering = failing(ArmRequest, ScopeError("gone", code="no_such_process"))
    with pytest.raises(ScopeError):
        await collector.start(REQUEST, CountingSink())
    supervisor.answering = lambda request: None
    for _ in range(2):
        await collector.start(REQUEST, CountingSink())
        await collector.stop()
    wanted = [r.wants_tables for r in supervisor.requests if isinstance(r, ArmRequest)]
    assert wanted == [True, True, False]


def failing(kind: type[Request[Any]], error: Exception) -> Any:
    """Return a hook that lets requests of one kind be carried out, and then reports a failure."""

    def answering(request: Request[Any]) -> None:
        if isinstance(request, kind):
            raise error

    return answering


async def test_what_was_collected_before_the_transport_broke_is_kept(
    collector: KernelCollector,
    supervisor: FakeSupervisor,
    autojump_clock: trio.testing.MockClock,
) -> None:
    sink = CountingSink()
    await collector.start(REQUEST, sink)
    corrupt(supervisor)
    await trio.sleep(10)
    assert (await collector.refresh()).streams["runqlat"].received == BATCH_WORDS
    stopped = await collector.stop()
    assert "a record of 16 bytes" in stopped.faults["draining_failed"]
    assert stopped.observed.streams["runqlat"].received == BATCH_WORDS
    assert sink.events == {STREAM_RUNQLAT: BATCH_WORDS}
    assert not supervisor.attached


@pytest.mark.parametrize("look", [True, False], ids=["a scrape", "the stop"])
async def test_each_reader_of_a_broken_transport_notes_it(
    collector: KernelCollector, supervisor: FakeSupervisor, look: bool
) -> None:
    await collector.start(REQUEST, CountingSink())
    corrupt(supervisor)
    if look:
        assert (await collector.refresh()).streams["runqlat"].received == BATCH_WORDS
    stopped = await collector.stop()
    assert list(stopped.faults) == ["draining_failed"]
    assert stopped.observed.streams["runqlat"].received == BATCH_WORDS


async def test_the_run_after_a_broken_transport_is_whole(
    collector: KernelCollector, supervisor: FakeSupervisor
) -> None:
    await collector.start(REQUEST, CountingSink())
    corrupt(supervisor)
    await collector.stop()
    await collector.start(REQUEST, CountingSink())
    supervisor.buffer.submit(0, RUNQLAT)
    stopped = await collector.stop()
    assert not stopped.faults
    assert stopped.observed.streams["runqlat"].received == BATCH_WORDS


async def test_the_verdict_on_a_broken_transport_names_it(
    collector: KernelCollector,
    supervisor: FakeSupervisor,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    await recorder.start(REQUEST)
    corrupt(supervisor)
    await trio.sleep(10)
    evidence = await recorder.stop()
    assert evidence["available"]
    assert evidence["runqlat"]["count"] == BATCH_WORDS
    completeness = evidence["completeness"]
    assert completeness["verdict"] == "invalid"
    assert [r for r in completeness["reasons"] if r.startswith("draining_failed: a record of 16")]
    assert not [r for r in completeness["reasons"] if "internal_error" in r]


@pytest.mark.parametrize("failing_at", ["Mapped", "read_arming"])
async def test_what_a_start_received_is_closed_where_it_fails(
    collector: KernelCollector,
    supervisor: FakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
    failing_at: str,
) -> None:
    request = replace(REQUEST, scope=Scope("pid", pid=1), details=("wait_functions",))
    supervisor.answering = failing(ArmRequest, cannot("load_failed", "not now"))
    with pytest.raises(CannotCollect):  # leaves the buffers mapped
        await collector.start(request, CountingSink())
    supervisor.answering = lambda request: None
    held = open_fds()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as patch:
        patch.setattr(f"agent.streams.collect.collector.{failing_at}", fail)
        with pytest.raises(OSError, match="memory"):
            await collector.start(request, CountingSink())
    # one for each table: a mapping has its own, and two of them are mapped only when needed
    assert len(open_fds() - held) == (0 if failing_at == "Mapped" else len(TABLES))


async def test_an_abandoned_run_is_detached_and_forgotten(
    collector: KernelCollector,
    supervisor: FakeSupervisor,
    autojump_clock: trio.testing.MockClock,
) -> None:
    sink = CountingSink()
    await collector.start(REQUEST, sink)
    await trio.testing.wait_all_tasks_blocked()
    held = open_fds()
    await collector.abandon()
    assert not supervisor.attached
    # the file of summaries that came with the answer has been closed
    assert open_fds() == held
    supervisor.buffer.submit(0, RUNQLAT)
    await trio.sleep(10)
    assert not sink.events
    await collector.start(REQUEST, sink)
    await collector.stop()


async def test_a_stop_whose_answer_does_not_fit_keeps_what_was_collected(
    collector: KernelCollector, supervisor: FakeSupervisor
) -> None:
    await collector.start(REQUEST, CountingSink())
    supervisor.buffer.submit(0, RUNQLAT)
    supervisor.answering = failing(DisarmRequest, OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    stopped = await collector.stop()
    assert stopped.observed.streams["runqlat"].received == BATCH_WORDS
    assert stopped.faults.keys() == {"too_many_files"}
    assert "ulimit -n" in stopped.faults["too_many_files"]


async def test_a_table_that_cannot_be_mapped_is_the_limits_fault(
    collector: KernelCollector, supervisor: FakeSupervisor, nursery: trio.Nursery
) -> None:
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    supervisor.answering = failing(ArmRequest, OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    started = await recorder.start(REQUEST)
    assert (started["available"], started["code"]) == (False, "too_many_files")
    assert not supervisor.attached
    await recorder.stop()


async def test_a_search_for_members_that_fails_is_a_fault_of_the_run(
    collector: KernelCollector,
    supervisor: FakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The supervisor detaches everything then, and has nothing left to refuse at the stop."""
    monkeypatch.setattr(cgroups, "chain", lambda path: (1, 2))
    scope = Scope("cgroup", cgroup="/bench")
    await collector.start(replace(REQUEST, scope=scope), CountingSink())
    supervisor.answering = failing(RescopeRequest, cannot("out_of_memory", "of the machine"))
    supervisor.move_between_cgroups()
    await trio.sleep(1)
    supervisor.attached = False
    stopped = await collector.stop()
    assert stopped.faults.keys() == {"out_of_memory"}
    assert "of the machine" in stopped.faults["out_of_memory"]


@pytest.mark.parametrize("error", [cannot("supervisor_lost", "gone"), ValueError("nonsense")])
async def test_abandoning_raises_nothing(
    collector: KernelCollector, supervisor: FakeSupervisor, error: Exception
) -> None:
    await collector.abandon()
    await collector.start(REQUEST, CountingSink())
    supervisor.answering = failing(DisarmRequest, error)
    await collector.abandon()


async def test_an_answer_without_sense_while_arming_leaves_nothing_attached(
    collector: KernelCollector, supervisor: FakeSupervisor, nursery: trio.Nursery
) -> None:
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    supervisor.answering = failing(ArmRequest, ValueError("nonsense"))
    started = await recorder.start(REQUEST)
    assert (started["available"], started["code"]) == (False, "internal_error")
    assert not supervisor.attached
    await recorder.stop()
    supervisor.answering = lambda request: None
    assert (await recorder.start(REQUEST))["available"]
    await recorder.stop()
