"""Making a page of 200 label sets does not hold up the event loop."""

import time

import numpy as np
import trio
from fakes.recorder import FakeRecorder
from fakes.totals import run_totals

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import LabelSet, SeriesStore
from agent.http.negotiation import PageFormat
from agent.http.scrape import SharedScrape

SYSCALLS = {"futex": 1250, "fsync": 45, "openat": 230, "read": 8900, "write": 450, "other": 7}


class Turns(trio.abc.Instrument):
    """CPU time of each turn that a task had."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._since: float | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._since is not None:  # else the turn began before this was installed
            self.seconds.append(time.thread_time() - self._since)


def full_store() -> SeriesStore:
    store = SeriesStore()
    random = np.random.default_rng(1)
    for number in range(200):
        histograms = (LatencyHistogram(), LatencyHistogram())
        for histogram in histograms:
            histogram.fold(random.lognormal(9, 2, 10_000).astype(np.uint64))
        runqlat, biolatency = (histogram.totals() for histogram in histograms)
        labels = LabelSet("baseline", "python", "numpy", f"{number:040x}", "bench-7", "d" * 64)
        totals = run_totals(runqlat, biolatency, 1.5, 12, SYSCALLS)
        store.commit(labels, totals, "success")
    return store


STORE = full_store()


def turns(page_format: PageFormat, compressed: bool) -> list[float]:
    """Return the turns of a first scrape, for which every line is new."""
    found = Turns()

    async def main() -> None:
        async with FakeRecorder.open() as recorder:
            recorder.series = STORE
            scrape = SharedScrape(recorder)
            trio.lowlevel.add_instrument(found)
            await scrape.page(page_format, compressed=compressed)
            trio.lowlevel.remove_instrument(found)

    trio.run(main)
    return found.seconds


def longest(page_format: PageFormat, compressed: bool = False) -> float:
    """Return the longest turn; of three scrapes the best, since a fault in a cache is no property
    of the page."""
    return min(max(turns(page_format, compressed)) for _ in range(3))


def test_native_histograms_hold_it_up_no_longer_than_the_classic_page() -> None:
    assert longest(PageFormat.PROTOBUF) < 1.5 * longest(PageFormat.TEXT)


def test_the_work_is_divided_into_many_turns() -> None:
    for page_format in PageFormat:
        found = turns(page_format, compressed=True)
        assert len(found) > 3
        assert max(found) < sum(found) / 2
