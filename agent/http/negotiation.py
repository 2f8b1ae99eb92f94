"""Choice of the text format that a scraper gets."""

from enum import Enum

OPENMETRICS_VERSIONS = frozenset({"", "1.0.0", "0.0.1"})
"""Versions that a 1.0.0 page satisfies; 0.0.1 is what older Prometheus servers ask for."""


class PageFormat(Enum):
    """A text format; the value is its Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def media_type(self) -> str:
        return self.value.partition(";")[0]


def choose_format(accept: str) -> PageFormat:
    """Return OpenMetrics if ``accept`` gives it at least the weight of plain text, else text 0.0.4.

    An Accept header is never an error: scrapers that ask only for something else (Protobuf,
    HTML) get text too, as from any other exporter.
    """
    openmetrics = text = 0.0
    for media_range in accept.lower().split(","):
        media_type, *rest = (part.strip() for part in media_range.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest)
        quality = _quality(parameters.get("q", "1"))
        if media_type == "application/openmetrics-text":
            if parameters.get("version", "").strip('"') in OPENMETRICS_VERSIONS:
                openmetrics = max(openmetrics, quality)
        elif media_type in ("text/plain", "text/*"):
            text = max(text, quality)
    if openmetrics > 0 and openmetrics >= text:
        return PageFormat.OPENMETRICS
    return PageFormat.TEXT


def _quality(text: str) -> float:
    """Return a weight from 0 to 1; an invalid weight is 0, as if the media range were absent."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
