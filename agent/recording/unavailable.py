"""A collector for systems without a privileged side, which are those other than Linux."""

import os
from typing import NoReturn

import trio

from agent.model import StartRequest
from agent.streams.drain.poller import Receiver
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.support import Support


class UnavailableCollector:
    """A collector that refuses every run for lack of one feature."""

    def __init__(self, lacking: Support) -> None:
        self._lacking = lacking
        self._cause = CannotCollect(lacking.reason, code=lacking.code)
        self.lost = trio.Event()

    async def prepare(self) -> None:
        raise self._cause

    async def start(self, request: StartRequest, receiver: Receiver, run_id: str = "") -> NoReturn:
        raise self._cause

    def tree_has_ended(self) -> bool:
        return False

    async def refresh(self) -> NoReturn:
        raise self._cause

    async def so_far(self) -> NoReturn:
        raise self._cause

    async def stop(self) -> NoReturn:
        raise self._cause

    async def abandon(self) -> None:
        """Do nothing: there is nothing to detach."""

    def support(self) -> tuple[Support, ...]:
        return (self._lacking,)

    def processes(self) -> dict[str, int]:
        return {"agent": os.getpid()}
