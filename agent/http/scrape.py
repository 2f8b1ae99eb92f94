"""One snapshot for all simultaneous scrapes."""

import trio

from agent.http.api import RecorderAPI
from agent.http.exposition import Exposition
from agent.http.negotiation import PageFormat


class SharedScrape:
    """Pages of ``/metrics``. A scrape that arrives while a page is being prepared gets that page,
    so a storm of scrapes costs one refresh, and one rendering for each format."""

    def __init__(self, recorder: RecorderAPI) -> None:
        self._recorder = recorder
        self._exposition = Exposition(recorder.series)
        self._preparing = trio.Lock()
        self._prepared = 0
        self._pages: dict[PageFormat, bytes] = {}

    async def page(self, page_format: PageFormat) -> bytes:
        """Return the page, as of the call or shortly after it."""
        prepared_on_arrival = self._prepared
        async with self._preparing:
            # If the scrape that was preparing was cancelled (its client left), prepare here.
            if self._prepared == prepared_on_arrival:
                await self._recorder.refresh()
                self._pages.clear()
                self._prepared += 1
            if page_format not in self._pages:
                internal = self._recorder.internal_metrics()
                self._pages[page_format] = self._exposition.render(internal, page_format)
            return self._pages[page_format]
