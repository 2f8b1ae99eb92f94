"""A collector for systems without a privileged side, which are those other than Linux."""

import os
from typing import NoReturn

import trio

from agent.model import StartRequest
from agent.streams.drain.poller import Receiver
from agent.streams.shared.causes import CannotCollect


class UnavailableCollector:
    """A collector that refuses every run with the same cause."""

    def __init__(self, cause: CannotCollect) -> None:
        self._cause = cause
        self.lost = trio.Event()

    async def prepare(self) -> None:
        raise self._cause

    async def start(self, request: StartRequest, receiver: Receiver) -> NoReturn:
        raise self._cause

    async def refresh(self) -> NoReturn:
        raise self._cause

    async def stop(self) -> NoReturn:
        raise self._cause

    async def abandon(self) -> None:
        """Do nothing: there is nothing to detach."""

    def processes(self) -> dict[str, int]:
        return {"agent": os.getpid()}
