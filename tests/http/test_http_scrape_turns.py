"""Making a page of 200 label sets does not hold up the event loop."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import trio
from fakes.recorder import FakeRecorder
from fakes.shown_metrics import INTERNAL
from fakes.totals import run_totals

from agent.aggregate.families import Family
from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import LabelSet, SeriesStore
from agent.http import scrape
from agent.http.exposition import Exposition, Format, writer
from agent.http.negotiation import PageFormat
from agent.http.protobuf_format import Histograms
from agent.http.run_families import FAMILIES, Value
from agent.http.scrape import AT_ONCE_S, CHUNK, SharedScrape
from agent.internal_metrics import InternalMetric

SYSCALLS = {"futex": 1250, "fsync": 45, "openat": 230, "read": 8900, "write": 450, "other": 7}
NATIVE: list[Histograms] = ["native", "both"]


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
            shared = SharedScrape(recorder)
            trio.lowlevel.add_instrument(found)
            await shared.page(page_format, compressed=compressed)
            trio.lowlevel.remove_instrument(found)

    trio.run(main)
    return found.seconds


def longest(page_format: PageFormat, compressed: bool = False) -> float:
    """Return the longest turn; of three scrapes the best, since a fault in a cache is no property
    of the page."""
    return min(max(turns(page_format, compressed)) for _ in range(3))


@pytest.mark.thorough
def test_native_histograms_hold_it_up_no_longer_than_the_classic_page() -> None:
    assert longest(PageFormat.PROTOBUF) < 1.5 * longest(PageFormat.TEXT)


def test_the_work_is_divided_into_many_turns() -> None:
    """At least in one of three scrapes: a turn may be long by garbage that is collected in it."""
    for page_format in PageFormat:
        attempts = (turns(page_format, compressed=True) for _ in range(3))
        assert any(is_divided(found) for found in attempts)


def is_divided(found: list[float]) -> bool:
    return len(found) > 3 and max(found) < sum(found) / 2


class Counted:
    """A format that counts what is written with it."""

    def __init__(self, own: Format) -> None:
        self._own = own
        self.end = own.end
        self.calls: list[object] = []
        """The label set of which samples are written, or the family or metric that is put
        together."""

    def samples(self, family: Family, labels: LabelSet, value: Value, created: float) -> bytes:
        self.calls.append(labels)
        return self._own.samples(family, labels, value, created)

    def before_runs(self, family: Family, size: int) -> bytes:
        self.calls.append(family.name)
        return self._own.before_runs(family, size)

    def of_agent(self, metric: InternalMetric, created: float) -> bytes:
        self.calls.append(metric.name)
        return self._own.of_agent(metric, created)


WRITERS = {
    "text": partial(writer, PageFormat.TEXT, "both"),
    "openmetrics": partial(writer, PageFormat.OPENMETRICS, "both"),
    **{kind: partial(writer, PageFormat.PROTOBUF, kind) for kind in NATIVE},
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_step_writes_one_label_set_or_puts_one_family_together(name: str) -> None:
    counted = Counted(WRITERS[name]())
    seen = 0
    for _ in Exposition(STORE).steps(INTERNAL, counted):
        step, seen = counted.calls[seen:], len(counted.calls)
        assert len(set(step)) <= 1
        assert len(step) <= len(FAMILIES)
    assert seen > 200 * 5


def bytes_of_label_sets(own: Format) -> list[int]:
    """Return how many bytes each step makes that writes a label set."""
    made: list[int] = []

    class Sized(Counted):
        def samples(self, family: Family, labels: LabelSet, value: Value, created: float) -> bytes:
            piece = super().samples(family, labels, value, created)
            made[-1] += len(piece)
            return piece

    steps = Exposition(STORE).steps((), Sized(own))
    for _ in range(len(STORE)):
        made.append(0)
        next(steps)
    return made


@pytest.mark.parametrize("kind", NATIVE)
def test_a_step_makes_no_more_of_native_histograms_than_of_the_classic_page(
    kind: Histograms,
) -> None:
    """Nor do the families, put together: each is in one piece."""
    classic, native = writer(PageFormat.TEXT, "both"), writer(PageFormat.PROTOBUF, kind)
    assert max(bytes_of_label_sets(native)) < max(bytes_of_label_sets(classic))
    pieces = [
        max(sum(map(len, step)) for step in Exposition(STORE).steps((), own))
        for own in (native, classic)
    ]
    assert pieces[0] < pieces[1]


class Ends(trio.abc.Instrument):
    """What a number was at the end of each turn of the task that made this."""

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number
        self._task = trio.lowlevel.current_task()
        self.seen: list[int] = []

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.seen.append(self._number())


async def test_a_turn_ends_with_the_step_that_exceeds_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    def steps() -> Iterator[Sequence[bytes]]:
        for number in range(4):
            made.append(number)
            yield (b"%d" % number,)

    some, too_long = 0.6 * AT_ONCE_S, 1.1 * AT_ONCE_S
    # read as a turn begins, and after each step
    readings = iter((0.0, some, too_long, 0.0, too_long, 0.0, some))
    monkeypatch.setattr(scrape, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    ends = Ends(lambda: len(made))
    trio.lowlevel.add_instrument(ends)
    assert await scrape._joined(steps()) == b"0123"
    trio.lowlevel.remove_instrument(ends)
    assert ends.seen == [2, 3]


def test_it_is_compressed_in_pieces() -> None:
    page = bytes(10 * CHUNK)
    assert len(list(scrape._gzip(page))) == 11
