"""How large ``/metrics`` gets: series and bytes of a scrape, by how many label sets are shown.

The pages are the agent's own. What is on them is made up here, since 10,000 real runs take hours:
each label set is one run of the five sections, with latencies drawn from two lognormal
distributions, so that their buckets, counts and digits are as those of a real run.
"""

import os
import re
import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import LabelSet, LastRun, SeriesStore
from agent.aggregate.totals import Count, Counts, Gauge, Total
from agent.http.exposition import Exposition, writer
from agent.http.negotiation import PageFormat
from agent.http.scrape import AT_ONCE_S, GZIP, LEVEL
from agent.sections.biolatency import metrics as biolatency
from agent.sections.exec import metrics as execs
from agent.sections.last_run import of_latencies
from agent.sections.offcpu import metrics as offcpu
from agent.sections.runqlat import metrics as runqlat
from agent.sections.syscall_counts import metrics as syscalls
from agent.sections.syscall_counts.layout import COUNTED
from benchmarks import procfs

FORMATS = {
    "text": PageFormat.TEXT,
    "openmetrics": PageFormat.OPENMETRICS,
    "protobuf": PageFormat.PROTOBUF,
}
SAMPLE = re.compile(rb"^[a-zA-Z_:]", re.MULTILINE)
WAITS, REQUESTS = 2000, 300
"""Latencies of a run."""
WAIT_NS, REQUEST_NS = 8_000, 120_000
"""Their medians."""
SPREAD = 1.5
"""Standard deviation of the logarithms."""
TRIES = 3
"""Of which the shortest turn counts: a fault in a cache is no property of a page."""


class Size(NamedTuple):
    """A page of ``label_sets`` in one format."""

    label_sets: int
    format: str
    series: int | None
    """Samples on the page, as text has them; None for other formats."""
    plain: int
    """Bytes."""
    compressed: int
    """Bytes, as the agent compresses them."""
    render_ms: float
    """For a page on which nothing has changed, as between two runs."""
    store_mb: float
    """Memory (PSS) that the label sets and what is cached of the pages so far take."""
    turn_ms: float = 0.0
    """The longest turn of the event loop that making it takes, if all on it is new."""


def sizes(label_sets: int) -> Iterator[Size]:
    """Fill a store with runs that have labels of their own; measure a page in each format."""
    before = procfs.pss_bytes([os.getpid()])
    store = SeriesStore(cap=label_sets, remembered=label_sets)
    random = np.random.default_rng(label_sets)
    for number in range(label_sets):
        _commit(store, number, random)
    found = list(_sizes(store, label_sets, before))
    for size in found:  # at the end, since this leaves freed memory that would count as the store's
        turns = (_longest_turn_s(store, FORMATS[size.format]) for _ in range(TRIES))
        yield size._replace(turn_ms=1e3 * min(turns))


def _sizes(store: SeriesStore, label_sets: int, before: int) -> Iterator[Size]:
    """Measure everything but the turns; ``before``: memory without the store, in bytes."""
    exposition = Exposition(store)
    for name, page_format in FORMATS.items():
        exposition.render((), page_format)
        began = time.perf_counter()
        page = exposition.render((), page_format)
        took = time.perf_counter() - began
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        yield Size(
            label_sets=label_sets,
            format=name,
            series=len(SAMPLE.findall(page)) if name == "text" else None,
            plain=len(page),
            compressed=len(compressor.compress(page)) + len(compressor.flush()),
            render_ms=1e3 * took,
            store_mb=(procfs.pss_bytes([os.getpid()]) - before - len(page)) / 1e6,
        )


def _longest_turn_s(store: SeriesStore, page_format: PageFormat) -> float:
    """Return CPU time, with the work divided as `agent.http.scrape` does."""
    turns, since = [], time.thread_time()
    for _ in Exposition(store).steps((), writer(page_format, "both")):
        if (took := time.thread_time() - since) > AT_ONCE_S:
            turns.append(took)
            since = time.thread_time()
    return max([*turns, time.thread_time() - since])


def _commit(store: SeriesStore, number: int, random: np.random.Generator) -> None:
    labels = LabelSet("optimized", "python", "numpy", f"{number:040x}", "bench-1", f"{7:064x}")
    waits = _latencies(random, WAIT_NS, WAITS)
    requests = _latencies(random, REQUEST_NS, REQUESTS)
    calls = {name: int(random.integers(1, 10**5)) for name in (*COUNTED, "other")}
    totals: dict[str, Total] = {
        runqlat.LATENCY.name: waits.totals(),
        biolatency.LATENCY.name: requests.totals(),
        offcpu.BLOCKED.name: Gauge(float(random.uniform(1, 10**4))),
        execs.EXECS.name: Count(int(random.integers(1, 100))),
        syscalls.CALLS.name: Counts(calls),
    }
    figures = {
        **of_latencies(waits, runqlat.LAST_RUN, runqlat.LAST_WAITS),
        **of_latencies(requests, biolatency.LAST_RUN, biolatency.LAST_REQUESTS),
    }
    store.commit(labels, totals, "success", LastRun(time.time(), "complete", figures))


def _latencies(random: np.random.Generator, median_ns: int, count: int) -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.fold((median_ns * random.lognormal(0, SPREAD, count)).astype(np.int64))
    return histogram
