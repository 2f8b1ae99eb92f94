"""The interface between the recorder and a collector."""

from collections.abc import Sequence
from typing import Protocol

import trio

from agent.model import StartRequest
from agent.streams.collect.observed import Arming, Observed, Stopped
from agent.streams.drain.poller import Receiver
from agent.streams.shared.support import Support


class Collector(Protocol):
    """The source of events: the kernel, or a fake of it."""

    @property
    def lost(self) -> trio.Event:
        """Set when nothing can be collected any more."""
        ...

    async def prepare(self) -> None: ...

    async def start(
        self, request: StartRequest, receiver: Receiver, run_id: str = ""
    ) -> Arming: ...

    def tree_has_ended(self) -> bool:
        """Return whether the last task of the run's tree has exited, so that nothing can follow.

        False if the scope is no tree, and while no run is in progress. Waits for nothing.
        """
        ...

    async def refresh(self) -> Observed: ...

    async def so_far(self) -> Stopped:
        """Return what `stop` would, of a run that goes on, except what only the end tells."""
        ...

    async def stop(self) -> Stopped: ...

    async def abandon(self) -> None:
        """Detach and forget the run, in any state. Raises nothing."""

    def support(self) -> Sequence[Support]:
        """Return what the machine offered when that was last tried; empty before."""
        ...

    def processes(self) -> dict[str, int]:
        """Return the pids, by role, of this process and of those it needs."""
        ...
