"""Progress of a measurement for a person who waits: runs done, and the time left."""

import time
from collections.abc import Callable
from typing import TextIO

from agent.overhead.rounds import Progress
from agent.terminal import output as terminal
from agent.terminal.values import time_text

PROGRESS_S = 10.0
"""Time between two lines of progress that stay, as in the log of a CI job."""


class ProgressLine:
    """Progress: on a terminal one line, rewritten in place; elsewhere a line now and then."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self._clock = clock
        self._rewrites = terminal.rewrites_lines(stream)
        self._open = False
        self._due = clock()

    def __call__(self, progress: Progress) -> None:
        last = progress.done == progress.total
        if self._rewrites:
            terminal.rewrite(_progress_text(progress), self.stream)
            self._open = True
            if last:
                self.end()
        elif last or self._clock() >= self._due:
            terminal.complain(f"{_progress_text(progress)}\n", self.stream)
            self._due = self._clock() + PROGRESS_S

    def end(self) -> None:
        """Leave the line as it is; what is printed next begins on its own line."""
        if self._open:
            terminal.complain("\n", self.stream)
            self._open = False


def _progress_text(progress: Progress) -> str:
    left = "" if progress.remaining is None else f", {time_text(progress.remaining)} left"
    what = progress.step.configuration or "bare" if progress.step else "starting"
    return f"{progress.workload}: {progress.done}/{progress.total}{left}: {what}"
