"""Measure a block of Python with an agent, and never lose the block's result to the agent.

``with collect() as run: ...``, or ``async with collect() as run: ...`` in Trio. Whatever becomes of
the agent, the block runs, and its exceptions pass through untouched. Where there is no evidence,
`MeasuredBlock.evidence` says why, and so does one warning.
"""

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from agent.client.choosing import BlocksRun, run_of
from agent.client.finding import NoAgent
from agent.client.http_client import AgentClient
from agent.client.one_run import NotMeasured
from agent.fleet import together
from agent.words import Json

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long to wait for the end of another run: less than `run` does, which says that it waits."""
POLL_S = 0.1
NOT_ENDED = "the block has not ended yet"
LONGEST_REASON = 4000
"""Characters. How to end a run that may be open comes last, so this is far more than that needs."""


class NoEvidenceWarning(UserWarning):
    """There is no evidence of a block; the text says why."""


def collect(
    url: str | Sequence[str] | None = None,
    *,
    scenario: str = "",
    impl: str = "",
    variant: str = "",
    commit: str = "",
    dataset: str = "",
    scope: str | dict[str, Any] = "caller",
    sections: list[str] | None = None,
    details: list[str] | None = None,
    timing: str | None = None,
    wait_s: float = PATIENCE_S,
    timeout_s: float | None = None,
) -> "MeasuredBlock":
    """Return a context manager, for ``with`` and for Trio's ``async with``, that measures a block.

    Without ``url`` (``http://HOST:PORT``, ``https://HOST:PORT`` or ``unix:/PATH``), the agent is
    the one that the variable CHAINBENCH_AGENT names, or that of a service: on its socket, or on
    port 9090. None is started. An agent that is named gets the token of the variables
    CHAINBENCH_AGENT_TOKEN_FILE, which may have one for each URL, or CHAINBENCH_AGENT_TOKEN.
    With several URLs, the agent on this machine measures the block, and each other one its whole
    machine meanwhile: the evidence has them under ``fleet``.
    The other arguments but the last two are fields of ``POST /start``; the default scope is this
    process, with its threads and what they start. ``wait_s`` is how long to wait while another run
    is in progress, ``timeout_s`` how long for each answer of the agent: by default a minute, or
    15 s longer than its probes may take to compile if that is more. Raises ValueError if ``url``
    cannot be that of an agent.
    """
    urls = [url] if isinstance(url, str) else list(url or ())
    for named in urls:
        AgentClient(named)
    labels = {"scenario": scenario, "impl": impl, "variant": variant}
    labels |= {"commit": commit, "dataset": dataset}
    body = {**labels, "scope": scope, "sections": sections, "details": details, "timing": timing}
    return MeasuredBlock(urls, body, wait_s, timeout_s)


class MeasuredBlock:
    """One block and its evidence; entered once.

    ``body`` is that of ``POST /start``. ``tell`` gets the reason if there is no evidence; by
    default it becomes a `NoEvidenceWarning`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        body: Mapping[str, Any],
        wait_s: float = PATIENCE_S,
        timeout_s: float | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.evidence: Json = _unavailable(NOT_ENDED)
        """The evidence once the block has ended; before, and where there is none,
        ``{"available": False, "reason": ...}``."""
        self.block_ms: float | None = None
        """How long the block took by this process's clock; None until it has ended. The run of the
        agent began before it and ended after it: the rest of the evidence's ``wall.wall_ms`` was
        waiting for the agent."""
        self._began = 0.0
        self._urls = urls
        self._body = body
        self._wait_s = wait_s
        self._timeout_s = timeout_s
        self._tell = tell or _warn
        self._process = 0
        self._deadline = 0.0
        self._run: BlocksRun | None = None
        self._untold = ""

    def __enter__(self) -> Self:
        self._enter()
        try:
            while not self._settled():
                time.sleep(POLL_S)
        except BaseException:  # Ctrl-C, which was held back until the run had begun
            self._end()
            raise
        self._tell_why_not()
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._take_time()
        self._end()
        self._tell_why_not()

    async def __aenter__(self) -> Self:
        trio = _trio()
        self._enter()
        # A thread is not abandoned if this is cancelled: the run that it may begin would be, too.
        while not await _in_a_thread(self._settled):
            await trio.sleep(POLL_S)
        self._tell_why_not()
        self._began = time.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._take_time()
        # Cancelled or not, the run has to be ended. The time-outs bound how long that takes.
        with _trio().CancelScope(shield=True):
            await _in_a_thread(self._end)
        self._tell_why_not()

    def _enter(self) -> None:
        if self._process:
            raise RuntimeError("collect() measures one block; call it again for the next one")
        self._process = os.getpid()
        self._deadline = time.monotonic() + self._wait_s

    def _take_time(self) -> None:
        self.block_ms = 1e3 * (time.monotonic() - self._began)

    def _settled(self) -> bool:
        """Try to begin the run; return whether it has begun, or never will."""
        with self._or_no_evidence():
            if self._run is None:
                self._run = run_of(self._urls, self._timeout_s)
            if self._run.begin(self._body) is None:
                if time.monotonic() < self._deadline:
                    return False
                self._give_up(
                    f"another run did not end in {self._wait_s:g} s (wait_s): "
                    f"{self._run.other_run()}"
                )
        return True

    def _end(self) -> None:
        """End the run if it has begun."""
        run, self._run = self._run, None
        if run is None:
            return
        if os.getpid() != self._process:
            # in a fork that leaves the block too
            self.evidence = _unavailable(f"the run is that of process {self._process}")
            return
        with self._or_no_evidence():
            self._keep(together(run.stop()))
        missing = [_one_line(f"on another machine: {failure}") for failure in run.failures]
        self._untold = "; ".join(filter(None, [self._untold, *missing]))

    @contextlib.contextmanager
    def _or_no_evidence(self) -> Iterator[None]:
        """Turn an error into a reason why there is no evidence."""
        try:
            yield
        except NoAgent as error:
            self._give_up(str(error))
        except NotMeasured as error:
            self._give_up(str(error))
            self.evidence = together({**self.evidence, **error.beside})
        except Exception as error:  # noqa: BLE001 - the block's result is not lost to a bug either
            self._give_up(f"{type(error).__name__}: {error}")

    def _keep(self, evidence: Json) -> None:
        if evidence.get("available") is True:
            self.evidence = evidence
        elif evidence.get("available") is False:
            self._give_up(str(evidence.get("reason", "the agent does not say why")))
            self.evidence = evidence
        else:
            self._give_up("what the agent answered is no evidence")

    def _give_up(self, reason: str) -> None:
        run, self._run = self._run, None
        try:
            if run is not None:
                run.close()
        except Exception as error:  # noqa: BLE001 - nor to another bug, which is only named
            reason = f"{reason}; the run could not be ended: {type(error).__name__}: {error}"
        self._untold = _one_line(reason)
        self.evidence = _unavailable(self._untold)

    def _tell_why_not(self) -> None:
        reason, self._untold = self._untold, ""
        if reason:
            self._tell(reason)


def _unavailable(reason: str) -> Json:
    return {"available": False, "reason": reason}


def _one_line(text: str) -> str:
    """Return a text as one printable line, cut if it is long."""
    line = "".join(c if c.isprintable() else " " for c in text[: LONGEST_REASON + 1])
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def _warn(reason: str) -> None:
    message = f"no evidence: {reason}"
    try:
        # 4: the frame of the ``with``, which called ``__enter__``, which called `_tell_why_not`
        warnings.warn(message, NoEvidenceWarning, stacklevel=4)
    except NoEvidenceWarning:
        # Warnings are errors here. This one would lose the result of the block.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"{NoEvidenceWarning.__name__}: {message}\n")


def _trio() -> Any:
    """Return the module. Raises RuntimeError in a task of anything else."""
    import trio

    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        raise RuntimeError(
            "async with collect() is for Trio; elsewhere, asyncio included, use a plain with"
        ) from None
    return trio


async def _in_a_thread(function: Callable[[], T]) -> T:
    import trio

    # Trio's own limit may be used up by threads that wait for something else
    return await trio.to_thread.run_sync(function, limiter=trio.CapacityLimiter(1))
