"""What /proc counted of tasks while something was done."""

from collections.abc import Callable
from typing import Any

import trio
from fakes.acting import acting

from agent.model import Scope, StartRequest
from agent.procfs.following import Following
from agent.words import Json


def nothing() -> None:
    """Do nothing."""


async def counted(scope: Scope, act: Callable[[], Any], owner: int | None = None) -> Json:
    """Return the section of a run in which ``act`` was done, in a thread."""
    return await counted_by(Following(StartRequest(scope=scope, owner=owner)), act)


async def counted_by(following: Following, act: Callable[[], Any]) -> Json:
    async with trio.open_nursery() as nursery:
        await following.begin()
        nursery.start_soon(following.run)
        await trio.to_thread.run_sync(act)
        await following.end()
    return following.evidence


async def tasks_of(what: str) -> Json:
    """Return what was counted of a process that did this, and of its children."""
    with acting(what) as child:
        tasks: Json = (await counted(Scope("pid", pid=child.pid), child.act))["tasks"]
    return tasks
