"""Which of the two text formats a scraper gets."""

from enum import Enum

OPENMETRICS_VERSIONS = frozenset({"", "1.0.0", "0.0.1"})
"""Versions that a 1.0.0 page satisfies; 0.0.1 is what older Prometheus servers ask for."""


class PageFormat(Enum):
    """A text format; the value is its Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def choose_format(accept: str) -> PageFormat:
    """OpenMetrics where ``accept`` names it no less than plain text, else text 0.0.4.

    Nothing in an Accept header is an error: scrapers that ask for something else altogether
    (Protobuf, HTML) get text too, as from any other exporter.
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
    """A weight from 0 to 1; what is none of that counts as 0, as if it were not there."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
