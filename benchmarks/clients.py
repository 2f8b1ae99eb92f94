"""Many clients at once: scrapes, ``/status``, starts and stops, and how long each request takes.

Each client has a connection of its own, as a Prometheus server or a runner has, and sends one
request after another without a pause. Whose start comes first has a run; the others are refused
(409), as the contract has it. What must not happen: a 5xx, an answer that does not come, an event
that is lost, memory or descriptors that grow.
"""

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import trio

from benchmarks.procfs import anonymous_bytes

CLIENTS = 64
SECONDS = 300.0
REQUESTS = ("GET /metrics", "GET /status", "POST /start", "POST /stop")
"""Sent in turn, each client beginning with another one."""
PATIENCE_S = 30.0
"""How long an answer may take; one that takes longer counts as none."""
AGAIN_S = 0.1
"""How long a client waits after a request that got no answer."""
LOOKS = 5
"""How often memory and descriptors are read, the last time at the end. Before the first time,
allocators and buffers grow to what so many clients need."""
QUANTILES = (0.5, 0.9, 0.99, 1.0)
RUN = json.dumps({"scenario": "clients", "sections": ["runqlat", "exec"]}).encode()


@dataclass
class Held:
    """What an agent holds."""

    memory_mb: float
    """Anonymous memory of all of its processes: without pages of files, which others may share."""
    fds: int
    """Descriptors of the one that serves."""


@dataclass
class Answers:
    """What all clients were answered: durations in seconds by request, and statuses."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    """Why requests got no answer."""
    lost: int = 0
    """Events lost, by the evidence of all runs."""
    runs: int = 0

    @property
    def refused_by_the_server(self) -> int:
        """The number of 5xx."""
        return sum(n for (_, status), n in self.statuses.items() if status >= 500)

    def counts(self, request: str) -> list[str]:
        """Return how often each status was the answer to a request, in words."""
        found = sorted(self.statuses.items())
        return [f"{status}: {n}" for (name, status), n in found if name == request]


@dataclass
class Load:
    """One measurement."""

    clients: int
    seconds: float
    answers: Answers
    held: Sequence[Held]


class Client:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        self._address = host, port
        self._answers = answers
        self._stream: trio.SocketStream | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def run(self, first: int) -> None:
        """Send requests until cancelled."""
        turn = first
        try:
            while True:
                await self._measure(REQUESTS[turn % len(REQUESTS)])
                turn += 1
        finally:
            if self._stream is not None:
                self._stream.socket.close()

    async def _measure(self, request: str) -> None:
        began = time.perf_counter()
        try:
            with trio.fail_after(PATIENCE_S):
                status, body = await self._ask(request)
        except (trio.TooSlowError, trio.BrokenResourceError, OSError, h11.ProtocolError) as error:
            self._answers.missing.append(f"{request}: {type(error).__name__} {error}".strip())
            await self._close()
            await trio.sleep(AGAIN_S)
            return
        self._answers.took[request].append(time.perf_counter() - began)
        self._answers.statuses[request, status] += 1
        if request == "POST /stop" and status == 200:
            self._answers.runs += 1
            self._answers.lost += lost_events(json.loads(body))

    async def _ask(self, request: str) -> tuple[int, bytes]:
        method, path = request.split()
        body = RUN if path == "/start" else b""
        stream = self._stream = self._stream or await self._connect()
        headers = [("Host", "127.0.0.1"), ("Content-Length", str(len(body)))]
        if body:
            headers.append(("Content-Type", "application/json"))
        events = [h11.Request(method=method, target=path, headers=headers), h11.Data(body)]
        sent = b"".join(self._http.send(event) or b"" for event in (*events, h11.EndOfMessage()))
        await stream.send_all(sent)
        return await self._answer(stream)

    async def _answer(self, stream: trio.SocketStream) -> tuple[int, bytes]:
        status, body = 0, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise h11.RemoteProtocolError("the connection was closed before the answer")
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            await self._close()
        else:
            self._http.start_next_cycle()
        return status, bytes(body)

    async def _connect(self) -> trio.SocketStream:
        self._http = h11.Connection(h11.CLIENT)
        return await trio.open_tcp_stream(*self._address)

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)


def lost_events(evidence: Mapping[str, Any]) -> int:
    """Return how many events a run lost, by its own account."""
    streams = evidence["completeness"].get("streams", {})
    return sum(stream.get("lost", 0) for stream in streams.values())


def held_by(pids: Sequence[int]) -> Held:
    """Return what an agent's processes, of which the first serves, hold now."""
    return Held(anonymous_bytes(pids) / 1e6, len(list(Path(f"/proc/{pids[0]}/fd").iterdir())))


def measure(
    url: str, pids: Sequence[int], clients: int = CLIENTS, seconds: float = SECONDS
) -> Load:
    """Have clients ask an agent for that long. ``pids``: of its processes; the first one serves."""
    return trio.run(partial(_measure, url, pids, clients, seconds))


async def _measure(url: str, pids: Sequence[int], clients: int, seconds: float) -> Load:
    parts, answers = urlsplit(url), Answers()
    host, port = parts.hostname or "", parts.port or 80
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(Client(host, port, answers).run, number)
        held = []
        for _ in range(LOOKS):
            await trio.sleep(seconds / LOOKS)
            held.append(held_by(pids))
        nursery.cancel_scope.cancel()
    return Load(clients, seconds, answers, held)


def render(load: Load) -> str:
    """Return a measurement as a table for people."""
    answers, lines = load.answers, []
    lines.append(f"{load.clients} clients for {load.seconds:g} s; milliseconds by request")
    columns = "".join(f"{_percent(quantile):>9}" for quantile in QUANTILES)
    lines.append(f"{'':<14}{'answers':>9}{columns}  statuses")
    for request in REQUESTS:
        took = sorted(answers.took[request])
        shown = "".join(f"{1e3 * nearest_rank(took, quantile):>9.1f}" for quantile in QUANTILES)
        statuses = ", ".join(answers.counts(request))
        lines.append(f"{request:<14}{len(took):>9}{shown}  {statuses}")
    lines.append(
        f"runs: {answers.runs}; events lost: {answers.lost}; 5xx: {answers.refused_by_the_server};"
        f" no answer: {len(answers.missing)}"
    )
    lines += [f"  {what}" for what in sorted(set(answers.missing))[:5]]
    memory = ", ".join(f"{held.memory_mb:.1f}" for held in load.held)
    descriptors = ", ".join(str(held.fds) for held in load.held)
    lines.append(
        f"after each fifth of the time: {memory} MB in all processes, {descriptors} descriptors in"
        " the one that serves"
    )
    return "\n".join(lines) + "\n"


def figures(load: Load) -> dict[str, float]:
    """Return a measurement by names, to be kept."""
    answers = load.answers
    found: dict[str, float] = {"clients": load.clients, "seconds": load.seconds}
    for request in REQUESTS:
        took = sorted(answers.took[request])
        found[f"{request} answers"] = len(took)
        for quantile in QUANTILES if took else ():
            found[f"{request} {_percent(quantile)}"] = 1e3 * nearest_rank(took, quantile)
    return found | {
        "server errors": answers.refused_by_the_server,
        "no answer": len(answers.missing),
        "runs": answers.runs,
        "events lost": answers.lost,
        **{f"memory_mb {n}": held.memory_mb for n, held in enumerate(load.held, 1)},
        **{f"descriptors {n}": held.fds for n, held in enumerate(load.held, 1)},
    }


def nearest_rank(ordered: Sequence[float], quantile: float) -> float:
    """Return the quantile of values in order; NaN of none."""
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)] if ordered else math.nan


def _percent(quantile: float) -> str:
    return "max" if quantile == 1 else f"p{100 * quantile:g}"
