"""One snapshot for all simultaneous scrapes, made without holding up the event loop."""

import time
import zlib
from collections.abc import Iterable, Iterator, Sequence

import trio

from agent.http.api import RecorderAPI
from agent.http.exposition import Exposition, Format, writer
from agent.http.negotiation import PageFormat
from agent.http.protobuf_format import Histograms

AT_ONCE_S = 0.002
"""How long pages are worked on before other tasks get their turn; one step may exceed it."""

CHUNK = 64 * 1024
"""Bytes that are compressed in one step: that takes less than a millisecond."""

LEVEL = 1
"""Of compression: lines repeat their labels, so higher levels take longer and gain little."""

GZIP = 16 + zlib.MAX_WBITS
"""Has zlib write gzip's header and trailer."""


class SharedScrape:
    """Pages of ``/metrics``. A scrape that arrives while a page is being prepared gets that page,
    so a storm of scrapes costs one refresh, and one rendering for each format."""

    def __init__(self, recorder: RecorderAPI) -> None:
        self._recorder = recorder
        self._exposition = Exposition(recorder.series)
        self._preparing = trio.Lock()
        self._prepared = 0
        self._asking = 0
        """Scrapes that have no page yet."""
        self._pages: dict[tuple[Format, bool], bytes] = {}

    async def page(
        self,
        page_format: PageFormat,
        histograms: Histograms = "both",
        *,
        compressed: bool = False,
    ) -> bytes:
        """Return the page, as of the call or shortly after it; ``compressed``: with gzip."""
        own = writer(page_format, histograms)
        self._asking += 1
        try:
            return await self._shared(own, compressed)
        finally:
            self._asking -= 1
            if not self._asking:
                self._pages.clear()  # megabytes that nobody will get

    async def _shared(self, own: Format, compressed: bool) -> bytes:
        prepared_on_arrival = self._prepared
        async with self._preparing:
            # If the scrape that was preparing was cancelled (its client left), prepare here.
            if self._prepared == prepared_on_arrival:
                await self._recorder.refresh()
                self._pages.clear()
                self._prepared += 1
            page = await self._plain(own)
            return await self._compressed(own, page) if compressed else page

    async def _plain(self, own: Format) -> bytes:
        if (own, False) not in self._pages:
            steps = self._exposition.steps(self._recorder.internal_metrics(), own)
            self._pages[own, False] = await _joined(steps)
        return self._pages[own, False]

    async def _compressed(self, own: Format, page: bytes) -> bytes:
        if (own, True) not in self._pages:
            self._pages[own, True] = await _joined(_gzip(page))
        return self._pages[own, True]


async def _joined(steps: Iterable[Sequence[bytes]]) -> bytes:
    """Return everything that the steps yield, letting other tasks have their turn meanwhile."""
    pieces: list[bytes] = []
    since = time.perf_counter()
    for made in steps:
        pieces.extend(made)
        if time.perf_counter() - since > AT_ONCE_S:
            await trio.lowlevel.checkpoint()
            since = time.perf_counter()
    return b"".join(pieces)


def _gzip(page: bytes) -> Iterator[Sequence[bytes]]:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    view = memoryview(page)
    for start in range(0, len(view), CHUNK):
        yield (compressor.compress(view[start : start + CHUNK]),)
    yield (compressor.flush(),)
