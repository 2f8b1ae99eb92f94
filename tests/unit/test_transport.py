"""The agent's ends of the transports, against a fake of the privileged side."""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pytest
import trio
from fakes.descriptors import open_fds
from fakes.limits import no_more_files
from fakes.transport_memory import PAGE, FakeWakeups, PerfMemory, RingMemory, drained

from agent.streams.drain.perf import PerfReader
from agent.streams.drain.ring import RingReader
from agent.streams.drain.transport import Transports, buffer_size, rare_size
from agent.streams.shared import messages
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.channel import Reply, close_all
from agent.streams.shared.messages import Buffer, BuffersAnswer, BuffersRequest, Request

AnswerT = TypeVar("AnswerT")

SIZE = 4 * PAGE


class FakeSupervisor:
    """Offers one buffer for each online CPU, each with its own serial number."""

    def __init__(self, cpus: int = 2, ring: bool = True) -> None:
        self.ring = RingMemory(SIZE) if ring else None
        self.buffers: dict[int, tuple[int, PerfMemory]] = {}
        self.replaced: list[PerfMemory] = []
        self._serial = 0
        for cpu in range(cpus):
            self.renew(cpu)
        self.asked = 0
        self.failing: CannotCollect | None = None

    def renew(self, cpu: int) -> PerfMemory:
        """Give a CPU a new buffer, as when it comes back online."""
        self._serial += 1
        if cpu in self.buffers:
            self.replaced.append(self.buffers[cpu][1])
        self.buffers[cpu] = self._serial, PerfMemory(SIZE)
        return self.buffers[cpu][1]

    async def ask(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        await trio.lowlevel.checkpoint()
        assert isinstance(request, BuffersRequest)
        self.asked += 1
        if self.failing:
            raise self.failing
        return cast("Reply[AnswerT]", self._offered(request))

    def _offered(self, request: BuffersRequest) -> Reply[BuffersAnswer]:
        name = "ring" if request.transport == "auto" and self.ring else "perf"
        if name == "ring":
            assert self.ring is not None
            offers = [(Buffer(-1, 0), self.ring.fd)]
        else:
            offers = [(Buffer(cpu, serial), m.fd) for cpu, (serial, m) in self.buffers.items()]
        offers = [offer for offer in offers if offer[0].serial not in request.have]
        now = offers[: messages.BUFFERS_AT_ONCE]
        buffers = tuple(buffer for buffer, _ in now)
        answer = BuffersAnswer(name, buffers, len(offers) > len(now), SIZE)
        return Reply(answer, {buffer.fd_name: os.dup(fd) for buffer, fd in now})

    def close(self) -> None:
        memories = [memory for _, memory in self.buffers.values()]
        for memory in [*memories, *self.replaced, *([self.ring] if self.ring else [])]:
            memory.close()


class FakeOnline:
    """The file that lists the CPUs that are online."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lists("0-1")

    def lists(self, cpus: str) -> None:
        self.path.write_text(f"{cpus}\n")


@pytest.fixture
def online(tmp_path: Path) -> FakeOnline:
    return FakeOnline(tmp_path / "online")


@pytest.fixture
def supervisor() -> Iterator[FakeSupervisor]:
    with contextlib.closing(FakeSupervisor()) as supervisor:
        yield supervisor


async def test_auto_is_what_the_privileged_side_makes_of_it(
    supervisor: FakeSupervisor, online: FakeOnline
) -> None:
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    name, reader = await transports.open("auto")
    assert name == "ring"
    assert isinstance(reader, RingReader)
    with contextlib.closing(FakeSupervisor(ring=False)) as older:
        name, reader = await Transports(older, SIZE, online.path, FakeWakeups()).open("auto")
    assert name == "perf"
    assert isinstance(reader, PerfReader)


async def test_what_is_mapped_stays_mapped(supervisor: FakeSupervisor, online: FakeOnline) -> None:
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    first = [await transports.open("auto"), await transports.open("perf")]
    held = open_fds()
    for _ in range(5):
        assert [await transports.open("auto"), await transports.open("perf")] == first
    assert open_fds() == held


async def test_a_machine_with_many_cpus_takes_several_answers(online: FakeOnline) -> None:
    cpus = 2 * messages.BUFFERS_AT_ONCE + 1
    with contextlib.closing(FakeSupervisor(cpus)) as supervisor:
        transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
        before = open_fds()
        _, reader = await transports.open("perf")
        assert isinstance(reader, PerfReader)
        assert sorted(reader.serials) == list(range(1, cpus + 1))
        assert supervisor.asked == 3
        # each mapping keeps one descriptor, and no other is left open
        assert len(open_fds() - before) == cpus
        reader.close()


async def test_openings_at_once_map_each_buffer_once(
    supervisor: FakeSupervisor, online: FakeOnline
) -> None:
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(transports.open, "perf")
    _, reader = await transports.open("perf")
    supervisor.buffers[0][1].submit(0)
    records = reader.read(10)
    assert records is not None
    assert records.seqs.tolist() == [0]
    del records
    reader.release()
    assert reader.read(10) is None


class WithRareBuffers(FakeSupervisor):
    """Offers each CPU a second buffer, for the streams that cannot be folded in the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.rare = {cpu: PerfMemory(PAGE) for cpu in self.buffers}
        self.watermarks: list[tuple[int, int]] = []

    def _offered(self, request: BuffersRequest) -> Reply[BuffersAnswer]:
        self.watermarks.append((request.watermark, request.rare_watermark))
        offered = super()._offered(request)
        rare = {
            Buffer(cpu, 100 + cpu, rare=True): memory.fd
            for cpu, memory in self.rare.items()
            if 100 + cpu not in request.have
        }
        answer = replace(offered.answer, buffers=(*offered.answer.buffers, *rare))
        fds = {buffer.fd_name: os.dup(fd) for buffer, fd in rare.items()}
        return Reply(answer, {**offered.fds, **fds})

    def close(self) -> None:
        super().close()
        for memory in self.rare.values():
            memory.close()


async def test_rare_streams_have_smaller_buffers_of_their_own(online: FakeOnline) -> None:
    with contextlib.closing(WithRareBuffers()) as supervisor:
        transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
        _, reader = await transports.open("perf")
        # a mapping that is larger than the file could not be read
        assert rare_size(SIZE) == SIZE // 4 == PAGE
        assert supervisor.watermarks == [(SIZE // 4, PAGE // 4)]
        assert isinstance(reader, PerfReader)
        assert sorted(reader.serials) == [1, 2, 100, 101]
        supervisor.rare[1].submit(7)
        # both buffers of a CPU are current: neither replaces the other
        reader.discard()
        assert sorted(reader.serials) == [1, 2, 100, 101]
        for seq, memory in enumerate([supervisor.buffers[0][1], *supervisor.rare.values()]):
            memory.submit(seq)
        assert drained(reader) == [[0], [1], [2]]
        reader.close()


class ShortOfMemory(FakeSupervisor):
    """Offers buffers that can be mapped up to a size, inferred from the watermark (a quarter)."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self.watermarks: list[int] = []

    async def ask(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        reply = await super().ask(request)
        assert isinstance(request, BuffersRequest)
        self.watermarks.append(request.watermark)
        if 4 * request.watermark <= self.largest:
            return reply
        close_all(reply.fds.values())
        return Reply(reply.answer, {name: self.refused() for name in reply.fds})

    def refused(self) -> int:
        """Return the fd of a file for which mmap() fails with EPERM: it is sealed for writing."""
        fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
        os.truncate(fd, 64 * SIZE)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        return fd


class NoDevice(ShortOfMemory):
    """Offers files that cannot be mapped for another reason than their size (ENODEV)."""

    def refused(self) -> int:
        return os.open("/dev/null", os.O_RDWR)


async def test_buffers_are_halved_until_the_kernel_grants_them(online: FakeOnline) -> None:
    with contextlib.closing(ShortOfMemory(SIZE)) as supervisor:
        transports = Transports(supervisor, 4 * SIZE, online.path, FakeWakeups())
        before = open_fds()
        _, reader = await transports.open("perf")
        assert supervisor.watermarks == [SIZE, SIZE // 2, SIZE // 4]
        assert isinstance(reader, PerfReader)
        assert reader.serials == [1, 2]
        assert len(open_fds() - before) == 2
        reader.close()


async def test_no_memory_is_a_cause_with_a_cure(online: FakeOnline) -> None:
    with contextlib.closing(ShortOfMemory(0)) as supervisor:
        transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
        before = open_fds()
        with pytest.raises(CannotCollect) as caught:
            await transports.open("perf")
        assert open_fds() == before
    assert caught.value.code == "no_buffer_memory"
    assert "--transport ring" in caught.value.message
    assert "RLIMIT_MEMLOCK is" in caught.value.message
    assert "kernel.perf_event_mlock_kb is" in caught.value.message


async def test_another_refusal_is_not_taken_for_a_limit_to_memory(online: FakeOnline) -> None:
    with contextlib.closing(NoDevice(0)) as supervisor:
        transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
        before = open_fds()
        with pytest.raises(CannotCollect, match="No such device") as caught:
            await transports.open("perf")
        assert open_fds() == before
    assert caught.value.code == "kernel_refused"
    assert "cannot tell why" in caught.value.message


@pytest.mark.parametrize(("wanted", "received"), [("ring", 1), ("perf", 2)])
async def test_too_many_open_files_are_named(
    supervisor: FakeSupervisor, online: FakeOnline, wanted: str, received: int
) -> None:
    """Each mapping needs a descriptor in addition to the one received."""
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    before = open_fds()
    with no_more_files(received), pytest.raises(CannotCollect) as caught:
        await transports.open("auto" if wanted == "ring" else wanted)
    assert open_fds() == before
    assert caught.value.code == "too_many_files"
    name, _ = await transports.open("auto" if wanted == "ring" else wanted)
    assert name == wanted


@pytest.mark.parametrize(
    ("cpus", "kib"), [(1, 2048), (16, 2048), (17, 1024), (32, 1024), (64, 512), (1024, 512)]
)
def test_many_cpus_have_smaller_buffers(cpus: int, kib: int) -> None:
    assert buffer_size(cpus) == kib * 1024


@asynccontextmanager
async def following(transports: Transports, name: str) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transports.follow_cpus, name)
        yield
        nursery.cancel_scope.cancel()


async def test_a_cpu_that_comes_online_is_mapped(
    supervisor: FakeSupervisor, online: FakeOnline, autojump_clock: trio.testing.MockClock
) -> None:
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    _, reader = await transports.open("perf")
    asked = supervisor.asked
    async with following(transports, "perf"):
        await trio.sleep(10)
        assert supervisor.asked == asked
        supervisor.renew(7).submit(3)
        online.lists("0-1,7")
        await trio.sleep(10)
        assert supervisor.asked == asked + 1
    records = reader.read(10)
    assert records is not None
    assert records.seqs.tolist() == [3]


async def test_a_buffer_that_cannot_be_created_does_not_end_the_run(
    supervisor: FakeSupervisor,
    online: FakeOnline,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    await transports.open("perf")
    supervisor.failing = cannot("kernel_refused", "not now")
    online.lists("0")
    async with following(transports, "perf"):
        await trio.sleep(10)
        assert "not now" in caplog.text
        supervisor.failing = None
        supervisor.renew(1)
        online.lists("0-1")
        await trio.sleep(10)
    _, reader = await transports.open("perf")
    assert isinstance(reader, PerfReader)
    assert reader.serials == [1, 2, 3]


async def test_the_ring_is_every_cpus(
    supervisor: FakeSupervisor, online: FakeOnline, autojump_clock: trio.testing.MockClock
) -> None:
    transports = Transports(supervisor, SIZE, online.path, FakeWakeups())
    await transports.open("auto")
    online.lists("0")
    await transports.follow_cpus("ring")
    assert supervisor.asked == 1
