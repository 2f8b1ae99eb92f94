"""What every serving process does: recorder and HTTP server as Trio tasks, until a signal."""

# Everything is imported before privileges are dropped: afterwards an interpreter in a private home
# directory cannot read its own library. The first name lookup would import idna.
import contextlib
import encodings.idna  # noqa: F401
import gc
import json
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

import trio
from quart_trio import QuartTrio

from agent.aggregate.series import SeriesStore
from agent.errors import NotRunning
from agent.exit_status import UNASKED, signal_name
from agent.http.app import create_app
from agent.http.server import Address
from agent.http.server import serve as serve_http
from agent.http.settings import HttpSettings
from agent.model import EVIDENCE_FOLLOWS
from agent.processes.arrivals import arriving
from agent.processes.log import log_to_stderr
from agent.processes.preparing import Prepared, prepare, tell
from agent.processes.reloading import reload_on_hangup, warn_of_faults
from agent.processes.service_manager import ServiceManager
from agent.recording.collector import Collector
from agent.recording.recorder import Recorder
from agent.recording.unavailable import UnavailableCollector
from agent.service_output import PATIENCE_S, written
from agent.settings import Settings
from agent.streams.shared import limits
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.support import LINUX
from agent.terminal.values import printable
from agent.words import Json

LOGGER = logging.getLogger("agent")

STDOUT = 1

STOP_SECONDS = 1.5
"""How long shutdown waits for the evidence of a run in progress. The grace period of the HTTP side
follows (2 s); both fit well within the 5 s in which the agent promises to exit."""

OF_CPU_TIME = "; a limit on CPU time may be reached (ulimit -t, LimitCPU= in systemd)"

LAST_SECONDS = 1.5
"""How long the agent serves what it has once its supervisor is gone, for a runner that is about to
fetch its evidence."""


def serve_without_supervisor(
    settings: Settings, listeners: Sequence[socket.socket], ending: Collection[int]
) -> int:
    """Serve on a platform without eBPF; return the exit status."""
    collector = UnavailableCollector(LINUX.support())
    prepared = prepare(settings, listeners)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await serve(nursery, settings, listeners, collector, ending, prepared)

    return run(main, settings)


def run(main: Callable[[], Awaitable[None]], settings: Settings) -> int:
    """Run the tasks of this process and return its exit status."""
    log = log_to_stderr(settings.log_format)
    # The modules live as long as the process: the garbage collector need not spend 20 ms on them
    # each time.
    gc.collect()
    gc.freeze()
    try:
        trio.run(main, strict_exception_groups=True)
    except (OSError, BaseExceptionGroup) as error:
        limit = limit_met(error)
        if limit is None:
            LOGGER.exception("the agent exits: internal error")
        else:
            LOGGER.error("%s", limit.message)
        return 1
    finally:
        log.flush()
    return 0


def limit_met(error: BaseException) -> CannotCollect | None:
    """Return the limit that ended the tasks, or kept them from starting; None if it was none."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        [error] = error.exceptions
    number = error.errno if isinstance(error, OSError) else None
    return limits.reached("the agent exits", number)


async def serve(
    nursery: trio.Nursery,
    settings: Settings,
    listeners: Sequence[socket.socket],
    collector: Collector,
    ending: Collection[int],
    prepared: Prepared,
) -> None:
    """Serve until the agent is to end; then cancel the nursery and everything in it.

    Everything is cancelled at once because a request to the supervisor is shielded, and ends early
    only with the task that holds the channel. A recorder cancelled before that task would wait for
    a compilation.
    """
    keeping = prepared.keeping
    series = SeriesStore(settings.label_sets)
    keeper = keeping.keeper if keeping else None
    recorder = Recorder(collector, settings.machine, series, mock=settings.mock, keeper=keeper)
    http = prepared.http
    tell(http.access)
    if http.certificate:
        warn_of_faults(http.certificate)
    asked, manager = trio.Event(), ServiceManager.from_environment()
    # first: until then a signal ends this process at once
    await nursery.start(_watch_signals, ending, asked)
    if keeper is not None:
        await nursery.start(keeper.run)
    await nursery.start(recorder.run)
    nursery.start_soon(_watch_supervisor, collector.lost, asked)
    nursery.start_soon(manager.show_life)
    if http.certificate and prepared.read_again and signal.SIGHUP not in ending:
        await nursery.start(reload_on_hangup, http.certificate, prepared.read_again, manager)
    app = create_app(recorder, http, keeping.reader if keeping else None, asked.is_set)
    await _serve_http(app, recorder, http, listeners, asked, manager)
    nursery.cancel_scope.cancel()


async def _serve_http(
    app: QuartTrio,
    recorder: Recorder,
    http: HttpSettings,
    listeners: Sequence[socket.socket],
    asked: trio.Event,
    manager: ServiceManager,
) -> None:
    """Serve until the agent is ``asked`` to end and the run in progress, if any, is stopped."""

    async def stopped() -> None:
        await asked.wait()
        manager.tell("STOPPING=1")
        await _keep_partial_evidence(recorder)

    async with trio.open_nursery() as serving:
        addresses = await serving.start(
            partial(serve_http, app, listeners, http, shutdown_trigger=stopped)
        )
        for address in addresses:
            _announce(address, "https" if http.certificate else "http")
        manager.tell("READY=1")


def _announce(address: Address, scheme: str) -> None:
    """Print a listening address on stdout, where a parent that chose port 0 reads it."""
    if isinstance(address, str):
        # an abstract socket (unix(7)) as systemd and ss write it
        url = f"unix:{printable('@' + address[1:] if address[:1] == chr(0) else address)}"
    else:
        host, port = address
        url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    with contextlib.suppress(OSError):  # nobody reads it: no reason to exit
        written(STDOUT, f"listening on {url}\n".encode(), PATIENCE_S)


async def _watch_signals(
    ending: Collection[int],
    asked: trio.Event,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Set ``asked`` when one of the signals ``ending`` arrives, and ignore them from then on."""
    with arriving(ending) as one_arrives:
        task_status.started()
        number = await one_arrives()
        if number in UNASKED:
            why = OF_CPU_TIME if number == signal.SIGXCPU else ""
            LOGGER.warning("%s ends the agent%s", signal_name(number), why)
        asked.set()


async def _watch_supervisor(lost: trio.Event, asked: trio.Event) -> None:
    """Ask the agent to end once its supervisor is gone: half an agent only holds the port."""
    await lost.wait()
    LOGGER.error("the privileged process is gone; the agent exits in %g s", LAST_SECONDS)
    await trio.sleep(LAST_SECONDS)
    asked.set()


async def _keep_partial_evidence(recorder: Recorder) -> None:
    """Stop the run in progress, if any, and log its evidence.

    So is that of a run that ended by itself, if no stop has asked for it.
    """
    with trio.move_on_after(STOP_SECONDS) as patience:
        try:
            evidence = await recorder.stop_as_agent_ends()
        except NotRunning:
            return
        LOGGER.warning("%s%s%s", _said_of(evidence), EVIDENCE_FOLLOWS, json.dumps(evidence))
    if patience.cancelled_caught:
        LOGGER.warning("stopped in the middle of a run that did not end in time")


def _said_of(evidence: Json) -> str:
    if evidence["ended_by"] == "scope":
        return "a run had ended with its processes, and nobody stopped it"
    return "stopped in the middle of a run"
