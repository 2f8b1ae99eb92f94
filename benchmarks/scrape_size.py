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
    turn_ms: float
    """The longest turn of the event loop, in CPU time, that it takes if all on it is new."""
    store_mb: float
    """Memory (PSS) that the label sets and what is cached of the pages so far take."""


def sizes(label_sets: int) -> Iterator[Size]:
    """Fill a store with runs that have labels of their own; measure a page in each format."""
    before = procfs.pss_bytes([os.getpid()])
    store = SeriesStore(cap=label_sets, remembered=label_sets)
    random = np.random.default_rng(label_sets)
    for number in range(label_sets):
        _commit(store, number, random)
    exposition = Exposition(store)
    for name, page_format in FORMATS.items():
        turn = _longest_turn_s(exposition, page_format)
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
            turn_ms=1e3 * turn,
            store_mb=(procfs.pss_bytes([os.getpid()]) - before - len(page)) / 1e6,
        )


def _longest_turn_s(exposition: Exposition, page_format: PageFormat) -> float:
    """Make a page, with the work divided as `agent.http.scrape` does, and return CPU time."""
    turns, since = [], time.thread_time()
    for _ in exposition.steps((), writer(page_format, "both")):
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
