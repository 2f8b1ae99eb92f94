"""A recorder without a kernel: the same guarantees, implemented in memory, with hooks for tests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import outcome
import trio

from agent.aggregate.series import SeriesStore
from agent.errors import NotRunning, RunInProgress
from agent.internal_metrics import InternalMetric
from agent.model import EVIDENCE_SCHEMA, Labels, Report, StartRequest

EVIDENCE: dict[str, Any] = {
    "available": True,
    "schema": EVIDENCE_SCHEMA,
    "runqlat": {"histogram": [{"bucket_us": 1, "count": 150}], "p95_us": 45.0},
    "biolatency": {"histogram": [{"bucket_us": 64, "count": 45}], "p95_us": 680.0},
    "offcpu": {"total_ms": 1250.0, "top_reasons": [{"reason": "futex", "ms": 450.0}]},
    "exec": {"exec_count": 12, "top_commands": [{"command": "python3", "count": 5}]},
    "syscall_counts": {"futex": 1250, "fsync": 45, "openat": 230, "read": 8900, "write": 450},
    "completeness": {"verdict": "complete", "reasons": []},
}


async def at_once() -> None:
    """Execute one checkpoint, as any real work would: the default hook."""
    await trio.lowlevel.checkpoint()


class FakeRecorder:
    """A recorder with hooks.

    Set ``arming``, ``stopping`` or ``refreshing`` to a coroutine function to block the recorder's
    own task (or the refresh) at that point; it may also raise.
    """

    def __init__(self, owner: trio.Nursery) -> None:
        self._owner = owner
        self.arming: Callable[[], Awaitable[None]] = at_once
        self.stopping: Callable[[], Awaitable[None]] = at_once
        self.refreshing: Callable[[], Awaitable[None]] = at_once
        self.run_id: str | None = None
        self.labels = Labels()
        self.requests: list[StartRequest] = []
        self.reports: list[Report] = []
        self.refreshes = 0
        self.stops = 0
        self.series = SeriesStore()
        self.metrics: list[InternalMetric] = []
        self.not_ready: str | None = None
        self._evidence: dict[str, dict[str, Any]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["FakeRecorder"]:
        async with trio.open_nursery() as owner:
            yield cls(owner)
            owner.cancel_scope.cancel()

    async def start(self, request: StartRequest) -> dict[str, Any]:
        if self.run_id is not None:
            raise RunInProgress(self.run_id, "2026-03-01T10:11:12.000+00:00")
        self.requests.append(request)
        self.run_id = run_id = f"run-{len(self.requests)}"
        self.labels = request.labels

        async def work() -> dict[str, Any]:
            await self.arming()
            return {"status": "started", "run_id": run_id, "available": True}

        return await self._by_owner(work)

    async def stop(self, owner: int | None = None) -> dict[str, Any]:
        if self.run_id is None:
            raise NotRunning()
        run_id = self.run_id

        async def work() -> dict[str, Any]:
            await self.stopping()
            if self.run_id == run_id:
                self._evidence[run_id] = {**EVIDENCE, "run_id": run_id}
                self.run_id, self.labels = None, Labels()
                self.stops += 1
            return self._evidence[run_id]

        return await self._by_owner(work)

    async def stop_run(self, run_id: str, owner: int | None = None) -> dict[str, Any] | None:
        return await self.stop() if run_id == self.run_id else self.evidence(run_id)

    async def _by_owner(self, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        done = trio.Event()
        result: outcome.Outcome[dict[str, Any]]

        async def run() -> None:
            nonlocal result
            result = await outcome.acapture(work)
            done.set()

        self._owner.start_soon(run)
        await done.wait()
        return result.unwrap()

    def status(self) -> dict[str, Any]:
        labels = asdict(self.labels)
        run_id = self.run_id or ""
        return {"running": bool(run_id), "run_id": run_id, **labels, "machine": "test-machine"}

    def why_not_ready(self) -> str | None:
        return self.not_ready

    def report(self, report: Report) -> dict[str, Any]:
        self.reports.append(report)
        return {}

    async def refresh(self) -> None:
        self.refreshes += 1
        await self.refreshing()

    def last_evidence(self, owner: int | None = None) -> dict[str, Any] | None:
        return next(reversed(self._evidence.values()), None)

    def evidence(self, run_id: str, owner: int | None = None) -> dict[str, Any] | None:
        return self._evidence.get(run_id)

    def internal_metrics(self) -> Sequence[InternalMetric]:
        return self.metrics
