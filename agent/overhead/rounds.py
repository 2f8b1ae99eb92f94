"""Measurement rounds: a workload run alternately bare and under each configuration."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent.overhead.interleave import Schedule, Step, interleave
from agent.overhead.protocols import (
    CannotMeasure,
    Configuration,
    Missing,
    Workload,
    WorkloadFailed,
)
from agent.overhead.results import Measured, Pair, WorkloadResult


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress after a run, or before the first. ``remaining`` is in seconds; None: unknown."""

    workload: str
    step: Step | None
    done: int
    total: int
    remaining: float | None


OnProgress = Callable[[Progress], None]


INTERRUPTED = "interrupted"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a measurement. ``result`` has what had been measured by then."""

    def __init__(self, result: WorkloadResult) -> None:
        super().__init__()
        self.result = result


class RunFailed(WorkloadFailed):
    """A run of the workload failed. ``result`` has what had been measured by then."""

    def __init__(self, result: WorkloadResult) -> None:
        super().__init__(result.ended)
        self.result = result


def measure(
    workload: Workload,
    configurations: Sequence[Configuration],
    schedule: Schedule,
    on_progress: OnProgress = lambda _progress: None,
    clock: Callable[[], float] = time.monotonic,
) -> WorkloadResult:
    """Measure ``workload`` under each configuration. Its `run` returns the seconds per operation.

    A configuration without any pair is listed in ``skipped`` with the reason. One that failed in
    some rounds lacks these pairs and has a remark. Raises `Interrupted` or `RunFailed`, which have
    the result so far, and `WorkloadFailed` if the workload cannot be prepared.
    """
    missing = {c.name: reason for c in configurations if (reason := c.check())}
    session = _Session(workload, [c for c in configurations if c.name not in missing], missing)
    steps = list(interleave(session.names(), schedule))
    on_progress(Progress(workload.name, None, 0, len(steps), None))
    try:
        with workload.prepared():
            began = clock()
            for done, step in enumerate(steps, start=1):
                try:
                    session.take(step)
                except WorkloadFailed as error:
                    which = f"run {done} of {len(steps)} ({step.text}) failed: {error}"
                    raise RunFailed(session.result(which)) from error
                remaining = (clock() - began) / done * (len(steps) - done)
                on_progress(Progress(workload.name, step, done, len(steps), remaining))
    except KeyboardInterrupt as error:
        raise Interrupted(session.result(INTERRUPTED)) from error
    return session.result()


class _Session:
    """The state of one `measure`: the usable configurations, and the pairs so far."""

    def __init__(
        self,
        workload: Workload,
        configurations: Sequence[Configuration],
        skipped: Mapping[str, Missing],
    ) -> None:
        self._workload = workload
        self._usable = {configuration.name: configuration for configuration in configurations}
        self._skipped = dict(skipped)
        self._pairs: dict[str, list[Pair]] = {name: [] for name in self._usable}
        self._failures: dict[str, list[tuple[Step, Missing]]] = {name: [] for name in self._usable}
        self._worked: set[str] = set()
        self._before = 0.0
        self._armed: tuple[str, float] | None = None

    def names(self) -> list[str]:
        return list(self._usable)

    def take(self, step: Step) -> None:
        """Perform one step of the schedule. The bare run after an armed one completes the pair."""
        if step.configuration is not None:
            seconds = self._run_armed(step, step.configuration)
            self._armed = None if seconds is None else (step.configuration, seconds)
            return
        after = self._run()
        if self._armed and step.counts:
            name, armed = self._armed
            self._pairs[name].append(Pair(step.round, self._before, armed, after))
        self._before, self._armed = after, None

    def result(self, ended: str = "") -> WorkloadResult:
        cpus = self._workload.cpus
        return WorkloadResult(
            name=self._workload.name,
            operation=self._workload.operation,
            cpus=None if cpus is None else tuple(sorted(cpus)),
            measured=tuple(
                Measured(name, usable.label, tuple(self._pairs[name]), self._remarks(usable))
                for name, usable in self._usable.items()
                if self._pairs[name]
            ),
            skipped={**self._skipped, **self._without_pairs()},
            ended=ended,
        )

    def _without_pairs(self) -> dict[str, Missing]:
        """Return why configurations that worked in the warm-up have no pair all the same."""
        return {
            name: self._failed(name) or Missing("the measurement ended before its first pair")
            for name in self._usable
            if not self._pairs[name]
        }

    def _remarks(self, configuration: Configuration) -> tuple[str, ...]:
        failed = self._failed(configuration.name)
        return (*configuration.remarks(), *([failed.reason] if failed else []))

    def _failed(self, name: str) -> Missing | None:
        """Return the rounds in which a configuration failed, and the last reason."""
        if not self._failures[name]:
            return None
        steps, reasons = zip(*self._failures[name], strict=True)
        rounds = ", ".join(step.round_text for step in steps)
        return Missing(f"failed in {rounds}: {reasons[-1].reason}", reasons[-1].cure)

    def _run(self) -> float:
        with pinned(self._workload.cpus):
            return self._workload.run()

    def _run_armed(self, step: Step, name: str) -> float | None:
        """Return seconds per operation, or None if the configuration failed or was dropped."""
        configuration = self._usable.get(name)
        if configuration is None:
            return None
        try:
            with configuration.armed():
                seconds = self._run()
        except CannotMeasure as error:
            self._fail(step, name, error.missing)
            return None
        self._worked.add(name)
        return seconds

    def _fail(self, step: Step, name: str, missing: Missing) -> None:
        if name in self._worked:
            self._failures[name].append((step, missing))
        else:
            self._skipped[name] = missing
            del self._usable[name]


@contextmanager
def pinned(cpus: frozenset[int] | None) -> Iterator[None]:
    """Pin this thread, and every process that it starts in the meantime, to ``cpus``."""
    if cpus is None:
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
