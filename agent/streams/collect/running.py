"""A run in progress: its drain, its view of the tables, and what went wrong so far."""

import logging
from collections.abc import Awaitable, Callable

import trio

from agent.model import TREES, Scope
from agent.streams.collect import task_summaries
from agent.streams.collect.cpu_quota import NO_GROUPS, NOT_LOOKED_AT, QuotaMeter, Throttling
from agent.streams.collect.observed import Observed, Stopped
from agent.streams.collect.observer import Observer
from agent.streams.collect.task_summaries import Summaries
from agent.streams.drain.poller import Drain
from agent.streams.shared.kernel_counts import Edge
from agent.streams.shared.messages import DisarmAnswer
from agent.words import DRAIN_INTERVAL_S

DRAINING_FAILED = "draining_failed"

LOGGER = logging.getLogger("agent.collector")

Work = Callable[[], Awaitable[None]]


class Running:
    """A run from when everything is attached until `stopped`, or until it is abandoned."""

    def __init__(
        self,
        observer: Observer,
        drain: Drain,
        began: Edge,
        scope: Scope | None = None,
        quota: QuotaMeter | None = None,
    ) -> None:
        """``scope``: None if the kernel does not tell who is in it."""
        self.observer = observer
        self.cgroup = scope.cgroup if scope else ""
        """The path of the scope, if that is a cgroup."""
        self._has_tree = scope is not None and scope.kind in TREES
        self.faults: dict[str, str] = {}
        """What went wrong, by stable code."""
        self._drain = drain
        self._began = began
        self._quota = quota or QuotaMeter(NO_GROUPS, NOT_LOOKED_AT)
        self._scope = trio.CancelScope()

    async def work(self, *others: Work) -> None:
        """Drain, and do the run's other work, until cancelled."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._drain.run, DRAIN_INTERVAL_S)
                    for other in others:
                        nursery.start_soon(other)
        except* Exception as errors:
            # A run whose events cannot be read is invalid; the agent carries on.
            LOGGER.exception("draining failed")
            self.faults[DRAINING_FAILED] = "; ".join(str(e) for e in errors.exceptions)

    def tree_ended_ns(self) -> int | None:
        """Return when the last task of the scope's tree exited, by the programs' clock.

        None if any is left, or if the scope is no tree.
        """
        return self.observer.tree_ended_ns() if self._has_tree else None

    def throttling(self) -> Throttling:
        """Return what CPU quotas have withheld so far."""
        # a cgroup's own quota does not depend on who moves
        moved = self.observer.tables.count("cgroup_moves") if self._has_tree else 0
        return self._quota.read(moved)

    def cancel(self) -> None:
        """End `work`."""
        self._scope.cancel()

    def abandon(self) -> None:
        """End `work`, and release what the run has mapped."""
        self.cancel()
        self._drain.close()
        self._quota.close()

    async def observed(self) -> Observed:
        """Fold and return everything up to now."""
        await self._take()
        return self.observer.observed(self._drain, until_ns=None)

    async def so_far(self) -> Stopped:
        """Return everything up to now as the end of a run, without what only that tells."""
        observed = await self.observed()
        return Stopped(
            observed.until_ns,
            observed,
            (self._began, self.observer.with_outer(self.observer.edge(), {}, {})),
            task_summaries.none(),
            faults=dict(self.faults),
            refused_records=self._drain.refused,
            throttling=self.throttling(),
        )

    async def stopped(
        self, ended: Edge, throttling: Throttling, answer: DisarmAnswer, alive: Summaries
    ) -> Stopped:
        """Return everything up to the stop, once nothing is attached any more."""
        ended = self.observer.with_outer(ended, answer.kernel_counts, answer.differing)
        await self._take()
        self._drain.close()
        self._quota.close()
        observed = self.observer.observed(self._drain, until_ns=answer.stop_ns)
        if answer.wait_functions is not None:
            observed = self.observer.with_wait_stacks(observed, answer.wait_functions)
        # the kernel's exact count, where it has one
        exact = answer.refused_records
        return Stopped(
            stop_ns=answer.stop_ns,
            observed=observed,
            edges=(self._began, ended),
            summaries=alive,
            programs=tuple(dict(vars(program)) for program in answer.programs),
            faults=self.faults,
            refused_records=self._drain.refused if exact is None else exact,
            tree_ended_ns=self.tree_ended_ns(),
            wall_contradicted=answer.wall_contradicted,
            wall_arrivals=answer.wall_arrivals,
            throttling=throttling,
        )

    async def _take(self) -> None:
        """Take every event there is. Once that has failed, it is not tried again."""
        if DRAINING_FAILED in self.faults:
            return
        try:
            await self._drain.drain_all()
        except Exception as error:
            LOGGER.exception("draining failed")
            self.faults[DRAINING_FAILED] = str(error)
