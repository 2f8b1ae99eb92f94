"""The process of ``--mock``: needs no privilege, no other process, nothing that only Linux has."""

# Whoever calls drops privileges after importing this: see agent.processes.collecting.
import logging
import socket
from collections.abc import Collection, Sequence

import trio

from agent.mock.collector import MockCollector
from agent.processes.errors import complain
from agent.processes.preparing import Prepared
from agent.processes.serving import run, serve
from agent.settings import Settings

LOGGER = logging.getLogger("agent")


def serve_mock(
    settings: Settings,
    listeners: Sequence[socket.socket],
    ending: Collection[int],
    prepared: Prepared,
) -> int:
    """Serve synthetic events until one of the signals ``ending``; return the exit status."""
    try:
        collector = MockCollector(settings.mock_seed, settings.timing)
    except OSError as error:
        complain(f"--mock needs temporary files: {error.strerror}")
        return 1

    async def main() -> None:
        LOGGER.warning("--mock: every event is synthetic, nothing is measured")
        async with trio.open_nursery() as nursery:
            await nursery.start(collector.run)
            await serve(nursery, settings, listeners, collector, ending, prepared)

    return run(main, settings)
