"""How far a series is, for a person who waits: one line of a terminal, rewritten after each run.

It is left alone while a command runs, so that it costs the command nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from agent.run.series_plan import COMMAND, SeriesPlan
from agent.statistics.sample import median_interval
from agent.terminal import output as terminal
from agent.terminal.charts import bar
from agent.terminal.values import duration, time_text

BAR = 10


class Progress:
    """The line, if standard error is a terminal and no command's output is shown on it."""

    def __init__(
        self, plan: SeriesPlan, stream: TextIO | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        shown = stream is not None and not plan.show_output and terminal.rewrites_lines(stream)
        self._stream = stream if shown else None
        self._most = plan.most * len(plan.sides)
        self._ends_early = plan.until is not None
        self._clock = clock
        self._began = 0.0
        self._open = False

    def show(self, seconds: Mapping[str, Sequence[float]]) -> None:
        """Show the line, given the wall times of the complete runs of each side."""
        if self._stream is not None:
            terminal.rewrite(self._text(seconds), self._stream)
            self._open = True

    def clear(self) -> None:
        """Erase the line, so that something else can be said."""
        if self._stream is not None and self._open:
            terminal.rewrite("", self._stream)
            self._open = False

    def _text(self, seconds: Mapping[str, Sequence[float]]) -> str:
        done, now = sum(map(len, seconds.values())), self._clock()
        if not done:
            self._began = now  # warming up takes no part in the time that is left
        elapsed = now - self._began
        drawn = bar(done, self._most, BAR)
        parts = [f"run {done}/{self._most} [{drawn:<{BAR}}] {time_text(elapsed)}"]
        if done:
            left = elapsed / done * (self._most - done)
            parts.append(f"{'at most ' if self._ends_early else ''}{time_text(left)} left")
            parts += [_median(name, known) for name, known in seconds.items() if known]
        return ", ".join(parts)


def _median(side: str, seconds: Sequence[float]) -> str:
    found = median_interval(seconds)
    told = f"{'median' if side == COMMAND else side} {duration(found.middle * 1e6)}"
    if not found.has_interval:
        return told
    return f"{told} ({duration(found.low * 1e6)} – {duration(found.high * 1e6)})"
