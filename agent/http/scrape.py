"""One snapshot for all who scrape at the same time."""

import trio

from agent.http.api import RecorderAPI
from agent.http.exposition import Exposition
from agent.http.negotiation import PageFormat


class SharedScrape:
    """Pages of ``/metrics``. A scrape that arrives while another is being prepared gets that one,
    so a storm of scrapes costs one refresh and one rendering for each format."""

    def __init__(self, recorder: RecorderAPI) -> None:
        self._recorder = recorder
        self._exposition = Exposition(recorder.series)
        self._preparing = trio.Lock()
        self._prepared = 0
        self._pages: dict[PageFormat, bytes] = {}

    async def page(self, page_format: PageFormat) -> bytes:
        """The page as of now, or as of a moment after the call at the latest."""
        prepared_on_arrival = self._prepared
        async with self._preparing:
            # Whoever was preparing may have been cancelled (its client gone): then it is on us.
            if self._prepared == prepared_on_arrival:
                await self._recorder.refresh()
                self._pages.clear()
                self._prepared += 1
            if page_format not in self._pages:
                internal = self._recorder.internal_metrics()
                self._pages[page_format] = self._exposition.render(internal, page_format)
            return self._pages[page_format]
