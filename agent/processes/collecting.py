"""The serving process of an agent that collects: drops privileges, then serves with a collector."""

# Everything is imported before privileges are dropped: afterwards an interpreter in a private home
# directory cannot read its own library.
import socket
from collections.abc import Collection, Sequence

import trio

from agent.processes.serving import keeping_of, run, serve
from agent.settings import Settings
from agent.streams.collect.collector import KernelCollector
from agent.streams.drain.client import SupervisorClient
from agent.streams.shared import privileges
from agent.streams.shared.plan import Plan
from agent.terminal.output import complain


def serve_beside_supervisor(
    settings: Settings,
    listeners: Sequence[socket.socket],
    channel: socket.socket,
    supervisor_pid: int,
    uid: int | None,
    ending: Collection[int],
) -> int:
    """Drop privileges and serve until one of the signals ``ending``; return the exit status."""
    privileges.name_process("cba-agent")
    keeping = keeping_of(settings)
    try:
        privileges.drop_everything(uid)
    except privileges.CannotDrop as error:
        complain(f"chainbench-agent: {error}\n")
        return 1
    client = SupervisorClient(channel, supervisor_pid)

    async def main() -> None:
        plan = Plan(timing=settings.timing, transport=settings.transport)
        collector = KernelCollector(client, plan)
        async with trio.open_nursery() as nursery:
            await nursery.start(collector.run)
            await serve(nursery, settings, listeners, collector, ending, keeping)

    status = run(main, settings)
    return 1 if client.lost.is_set() else status
