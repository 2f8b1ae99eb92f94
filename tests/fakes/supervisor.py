"""A supervisor without a kernel: its tables stay empty, and the test fills its perf buffer."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import trio
from fakes.kernel_batches import KernelBatches
from fakes.transport_memory import PAGE, PerfMemory

from agent.streams.collect.tables import COUNTERS_DTYPE
from agent.streams.shared import messages
from agent.streams.shared.channel import Reply
from agent.streams.shared.messages import (
    ArmAnswer,
    ArmRequest,
    Buffer,
    BuffersAnswer,
    BuffersRequest,
    DisarmAnswer,
    DisarmRequest,
    PrepareAnswer,
    PrepareRequest,
    Request,
    RescopeAnswer,
    RescopeRequest,
    SupportAnswer,
    SupportRequest,
    decode_request,
    encode_request,
)
from agent.streams.shared.support import LINUX

BUFFER_SIZE = 4 * PAGE

AnswerT = TypeVar("AnswerT")


class FakeSupervisor:
    """A replacement for the client, with one CPU.

    Set ``answering`` to a function that raises, or that observes the requests.
    """

    def __init__(self) -> None:
        self.supervisor_pid = os.getpid()
        self.lost = trio.Event()
        self.batches = KernelBatches(cpus=1)
        self.buffer = PerfMemory(BUFFER_SIZE)
        self.requests: list[Request[Any]] = []
        self.attached = False
        self.features = (LINUX.support(),)
        self.tells_features = True
        self.answering: Callable[[Request[Any]], None] = lambda request: None
        sizes = self.batches.geometry.map_sizes()
        written = {"batches": self.batches.fd, **self.batches.folding.fds}
        self._empty = {name: _file(sizes[name]) for name in messages.TABLES if name not in written}
        self._tables = self._empty | written

    async def run(self) -> None:
        await trio.sleep_forever()

    async def ask(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        await trio.lowlevel.checkpoint()
        # the real supervisor would have to accept it
        assert decode_request(encode_request(request)) == request
        self.requests.append(request)
        reply = self._answer(request)
        try:
            self.answering(request)
        except BaseException:
            for fd in reply.fds.values():
                os.close(fd)
            raise
        return cast("Reply[AnswerT]", reply)

    def move_between_cgroups(self) -> None:
        """Count a task that was moved between cgroups, as the program on that event does."""
        _, offset, *_ = cast("Any", COUNTERS_DTYPE.fields)["cgroup_moves"]
        os.pwrite(self._tables["counters"], (1).to_bytes(8, sys.byteorder), offset)

    def close(self) -> None:
        self.buffer.close()
        self.batches.close()
        for fd in self._empty.values():
            os.close(fd)

    def _answer(self, request: Request[Any]) -> Reply[Any]:
        match request:
            case SupportRequest():
                return Reply(SupportAnswer(self.features), {})
            case BuffersRequest():
                mine = Buffer(0, 1)
                buffers = () if mine.serial in request.have else (mine,)
                offered = BuffersAnswer("perf", buffers, False, BUFFER_SIZE)
                return Reply(offered, {b.fd_name: os.dup(self.buffer.fd) for b in buffers})
            case PrepareRequest():
                prepared = PrepareAnswer(self.batches.geometry, "")
                return Reply(prepared, self._wanted(request.wants_tables))
            case ArmRequest():
                self.attached = True
                details = self.batches.geometry.detail_sizes(request.plan.details)
                fds = {name: _file(size) for name, size in details.items()}
                return Reply(self._armed(), self._wanted(request.wants_tables) | fds)
            case DisarmRequest():
                return self._disarmed()
            case RescopeRequest():
                return Reply(RescopeAnswer(), {})
        raise AssertionError(request)

    def _armed(self) -> ArmAnswer:
        return ArmAnswer(
            start_ns=0,
            clock_offset_ns=0,
            pid_level=0,
            root=None,
            geometry=self.batches.geometry,
            unavailable={},
            refused={},
            awaits_execs=False,
            bcc="0.1",
            map_bytes=1,
            kernel_counts={},
            differing={},
            features=self.features if self.tells_features else None,
        )

    def _disarmed(self) -> Reply[DisarmAnswer]:
        if not self.attached:
            return Reply(DisarmAnswer(1), {})
        self.attached = False
        return Reply(DisarmAnswer(1), {messages.SUMMARIES: _file(0)})

    def _wanted(self, wants_tables: bool) -> dict[str, int]:
        return {name: os.dup(fd) for name, fd in self._tables.items()} if wants_tables else {}


def _file(size: int) -> int:
    fd = os.memfd_create("table")
    os.truncate(fd, size)
    return fd
