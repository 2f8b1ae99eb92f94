"""How long one step of one task held the event loop. Wall time, because clients wait for it."""

import math
import time

import trio


class StallMeter(trio.abc.Instrument):
    """A Trio instrument, installed only during a run; costs two clock reads per step."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = math.inf  # installed in the middle of a step, which is not counted

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.longest_s = max(self.longest_s, time.perf_counter() - self._began)
