"""Choice of the format and the encoding that a scraper gets."""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

OPENMETRICS_VERSIONS = frozenset({"", "1.0.0", "0.0.1"})
"""Versions that a 1.0.0 page satisfies; 0.0.1 is what older Prometheus servers ask for."""


DELIMITED = {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"}
"""What the parameters of Protocol Buffers must be."""


class PageFormat(Enum):
    """A format; the value is its Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    PROTOBUF = (
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
        "encoding=delimited"
    )

    @property
    def media_type(self) -> str:
        return self.value.partition(";")[0]


def choose_format(accept: str) -> PageFormat:
    """Return the format that ``accept`` gives the greatest weight; of equals, the one with more.

    Protocol Buffers have more than OpenMetrics (native histograms), which has more than text
    0.0.4 (times of creation). An Accept header is never an error: scrapers that ask only for
    something else (HTML) get text, as from any other exporter.
    """
    weights = dict.fromkeys(PageFormat, 0.0)
    for media_range in accept.lower().split(","):
        media_type, *rest = (part.strip() for part in media_range.split(";"))
        parameters = dict(_parameters(rest))
        if (found := _format(media_type, parameters)) is not None:
            weights[found] = max(weights[found], _quality(parameters.get("q", "1")))
    order = (PageFormat.PROTOBUF, PageFormat.OPENMETRICS, PageFormat.TEXT)
    best = max(order, key=lambda page_format: weights[page_format])
    return best if weights[best] > 0 else PageFormat.TEXT


def _format(media_type: str, parameters: Mapping[str, str]) -> PageFormat | None:
    """Return the format that a media range, in lower case, asks for."""
    if media_type == "application/openmetrics-text":
        known = parameters.get("version", "") in OPENMETRICS_VERSIONS
        return PageFormat.OPENMETRICS if known else None
    if media_type == "application/vnd.google.protobuf":
        return PageFormat.PROTOBUF if DELIMITED.items() <= parameters.items() else None
    return PageFormat.TEXT if media_type in ("text/plain", "text/*") else None


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header accepts gzip, by its name or by ``*``."""
    weights = {
        coding.strip(): _quality(dict(_parameters(rest)).get("q", "1"))
        for coding, *rest in (part.split(";") for part in accept_encoding.lower().split(","))
    }
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _parameters(parts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        name, _, value = part.strip().partition("=")
        yield name, value.strip('"')


def _quality(text: str) -> float:
    """Return a weight from 0 to 1; an invalid weight is 0, as if the media range were absent."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
