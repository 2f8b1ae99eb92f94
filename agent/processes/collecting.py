"""The serving process of an agent that collects: drops privileges, then serves with a collector."""

# Everything is imported before privileges are dropped: afterwards an interpreter in a private home
# directory cannot read its own library.
import socket
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

import trio

from agent.http.certificate import BadCertificate, Pem
from agent.processes.errors import CannotServe, complain
from agent.processes.preparing import filter_calls, prepare
from agent.processes.reloading import pem_of
from agent.processes.serving import run, serve
from agent.settings import Settings
from agent.streams.collect.collector import KernelCollector
from agent.streams.drain.client import SupervisorClient
from agent.streams.shared import messages, privileges
from agent.streams.shared.messages import CertificateRequest
from agent.streams.shared.plan import Plan


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
    try:
        prepared = prepare(settings, listeners)
        privileges.drop_everything(uid)
    except (CannotServe, privileges.CannotDrop) as error:
        complain(str(error))
        return 1
    filter_calls()
    client = SupervisorClient(channel, supervisor_pid)
    if prepared.read_again is not None:
        prepared = replace(prepared, read_again=partial(_read_by_supervisor, client))

    async def main() -> None:
        plan = Plan(timing=settings.timing, transport=settings.transport)
        collector = KernelCollector(client, plan)
        async with trio.open_nursery() as nursery:
            await nursery.start(collector.run)
            await serve(nursery, settings, listeners, collector, ending, prepared)

    status = run(main, settings)
    return 1 if client.lost.is_set() else status


async def _read_by_supervisor(client: SupervisorClient) -> Pem:
    """Return what is in the certificate's files, which root alone may be able to open."""
    reply = await client.ask(CertificateRequest())
    if reply.answer.unreadable:
        raise BadCertificate(reply.answer.unreadable)
    return pem_of([reply.fds[messages.CERTIFICATE], reply.fds[messages.KEY]])
