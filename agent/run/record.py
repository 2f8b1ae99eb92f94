"""``chainbench-agent record``: evidence of what already runs, for a time or until Ctrl-C."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from agent.run import signals
from agent.run.agents import NoAgent, an_agent
from agent.run.around import COMPILES, SUMS_UP
from agent.run.command import die_of
from agent.run.measurement import Measurement, NotMeasured
from agent.run.options import Options
from agent.run.telling import Teller
from agent.terminal.values import duration
from agent.words import Json

LOOK_S = 0.1
"""Time between two looks whether the process is still there."""


def record(scope: str | Mapping[str, Any], seconds: float | None, options: Options) -> int:
    """Measure a scope, print the report to standard output, and return an exit status.

    It ends after ``seconds``, with the process that the scope names, by Ctrl-C, or by another
    signal that asks it to. The status is 0 even if nothing could be measured, because the evidence
    then says why; it is 1 without evidence, or if a file could not be written. Raises OutputFailed.
    """
    teller = Teller("record", options)
    if teller.refuses_files():
        return 1
    try:
        evidence = _measured(scope, seconds, options, teller)
    except (NoAgent, NotMeasured) as error:
        teller.say(str(error))
        return 1
    except signals.Interrupted as error:
        teller.say(f"interrupted before anything was measured{error.open_run}")
        return die_of(error.number)
    try:
        written = teller.report(evidence, sys.stdout)
    finally:  # also if standard output does not take it
        drawn = teller.draw(evidence)
    return 0 if written and drawn else 1


def _measured(
    scope: str | Mapping[str, Any], seconds: float | None, options: Options, teller: Teller
) -> Json:
    with (
        signals.interrupting(),
        contextlib.ExitStack() as after_all,
        an_agent(options.agent) as agent,
        _process(scope) as process,
        contextlib.closing(Measurement(agent)) as run,
    ):
        body = {**options.start, "scope": scope}
        agent.on_slow = partial(teller.slow, COMPILES)
        try:
            run.start(body, options.patience_s, teller.busy)
        except signals.Interrupted:
            if not run.has_begun:
                raise
            seconds = 0.0  # it came while the agent answered: there is a run, which ends here
        agent.on_slow = partial(teller.slow, SUMS_UP)
        # a second Ctrl-C shall not cost the evidence, also until our own agent has ended
        after_all.enter_context(signals.dropped())
        began = time.monotonic()
        if _wait(seconds, process) and seconds is not None:
            took = duration((time.monotonic() - began) * 1e6)
            teller.say(f"the process ended after {took}, and the run with it (--for {seconds:g}s)")
        return run.stop()


@contextlib.contextmanager
def _process(scope: str | Mapping[str, Any]) -> Iterator[int | None]:
    """Yield a descriptor of the scope's process; None without one, or if it cannot be opened."""
    try:
        fd = os.pidfd_open(scope["pid"]) if isinstance(scope, Mapping) and "pid" in scope else None
    except OSError:
        fd = None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _wait(seconds: float | None, process: int | None) -> bool:
    """Return after that time, after the end of the process, or when a signal asks for it.

    Return whether the process ended it.
    """
    deadline = time.monotonic() + (float("inf") if seconds is None else seconds)
    while (left := deadline - time.monotonic()) > 0:
        if process is not None and _has_ended(process):
            return True
        step = left if process is None else min(left, LOOK_S)
        if signals.asked_to_end(step):
            return False
    return False


def _has_ended(process: int) -> bool:
    watched = select.poll()
    watched.register(process, select.POLLIN)
    return bool(watched.poll(0))
