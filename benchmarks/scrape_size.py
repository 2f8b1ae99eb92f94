"""How large ``/metrics`` gets: series and bytes of a scrape, by how many label sets are shown.

Each label set is that of one run of a ``--mock`` agent with all default sections, as a commit in CI
makes it: its events are synthetic, its page is what a real one's is.
"""

import contextlib
import gzip
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import NamedTuple

from agent.client.spawn import RunningAgent, running_agent
from benchmarks import procfs

FORMATS = {
    "text": "text/plain;version=0.0.4",
    "openmetrics": "application/openmetrics-text;version=1.0.0",
    "protobuf": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"
    ";encoding=delimited",
}
SAMPLE = re.compile(rb"^[a-zA-Z_:]", re.MULTILINE)
SCRAPES = 5
"""Of which the fastest counts, after a first one that fills the agent's cache."""


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
    scrape_ms: float
    """From the request to the last byte, compressed."""
    agent_mb: float
    """Memory (PSS) of all processes of the agent after the scrapes."""


def sizes(label_sets: int, tell: Callable[[str], None]) -> Iterator[Size]:
    """Make so many runs, each with labels of its own, and measure a page in each format."""
    with running_agent(["--mock", "--label-sets", str(label_sets)]) as agent:
        began = time.monotonic()
        for number in range(label_sets):
            _one_run(agent, number)
        tell(f"{label_sets} runs in {time.monotonic() - began:.0f} s")
        for name, accept in FORMATS.items():
            yield _measured(agent, label_sets, name, accept)


def _one_run(agent: RunningAgent, number: int) -> None:
    labels = {"scenario": "optimized", "impl": "python", "variant": "numpy"}
    agent.post("/start", {**labels, "commit": f"{number:040x}", "dataset": f"{7:064x}"})
    agent.post("/stop")


def _measured(agent: RunningAgent, label_sets: int, name: str, accept: str) -> Size:
    plain, _ = _scraped(agent.url, accept, compressed=False)
    pages = [_scraped(agent.url, accept, compressed=True) for _ in range(1 + SCRAPES)][1:]
    page, _ = pages[0]
    assert len(gzip.decompress(page)) > 0
    return Size(
        label_sets=label_sets,
        format=name,
        series=len(SAMPLE.findall(plain)) if name == "text" else None,
        plain=len(plain),
        compressed=len(page),
        scrape_ms=1e3 * min(seconds for _, seconds in pages),
        agent_mb=procfs.pss_bytes(procfs.tree(agent.pid)) / 1e6,
    )


def _scraped(url: str, accept: str, *, compressed: bool) -> tuple[bytes, float]:
    """Return the body of a scrape as it was sent, and how long it took in seconds."""
    encoding = "gzip" if compressed else "identity"
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    began = time.perf_counter()
    with contextlib.closing(
        urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=headers))
    ) as answer:
        page: bytes = answer.read()
    return page, time.perf_counter() - began
