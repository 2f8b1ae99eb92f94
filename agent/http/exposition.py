"""The metrics page: Prometheus text 0.0.4 and OpenMetrics 1.0.

The formats differ only in two places: OpenMetrics names a counter's family without ``_total`` in
the headers, and it ends with ``# EOF``. Sample lines are identical, so they are rendered once for
both. Bounds are written ``1.0`` in both; otherwise a server that switches formats would see
different series.

Rendering runs on the event loop, so it must not take long. A page of 200 label sets has 12,000
lines; only those of the run in progress change between two scrapes. The lines of each label set
are therefore cached as bytes for as long as its `Series` is the same object.

``chainbench_offcpu_milliseconds_total`` is a gauge because the contract says so. Both formats,
their parsers and Prometheus itself accept a gauge with that name; only ``promtool check metrics``
complains.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from agent.aggregate.families import Family
from agent.aggregate.series import LabelSet, Series, SeriesStore
from agent.aggregate.totals import (
    LATENCY_BOUNDS_US,
    Count,
    Counts,
    Gauge,
    LatencyTotals,
    Total,
)
from agent.http.negotiation import PageFormat
from agent.internal_metrics import InternalMetric
from agent.sections.registry import FAMILIES as SECTION_FAMILIES

BOUNDS = (*(f"{bound}.0" for bound in LATENCY_BOUNDS_US), "+Inf")

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class LabelText(NamedTuple):
    """The text between the braces, escaped."""

    all: str
    without_scenario: str


def _histogram_lines(name: str, inside: str, totals: LatencyTotals) -> Iterator[str]:
    for bound, count in zip(BOUNDS, accumulate(totals.bucket_counts), strict=True):
        yield f'{name}_bucket{{{inside},le="{bound}"}} {count}\n'
    yield f"{name}_sum{{{inside}}} {number(totals.sum_us)}\n"
    yield f"{name}_count{{{inside}}} {totals.count}\n"


def _by_label(name: str, inside: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    for value, count in values.items():
        yield f'{name}{{{inside},{label}="{escape(value)}"}} {number(count)}\n'


def _total_lines(family: Family, inside: str, total: Total) -> Iterator[str]:
    """Yield the samples of one family for one label set."""
    if isinstance(total, LatencyTotals):
        yield from _histogram_lines(family.name, inside, total)
    elif isinstance(total, Counts):
        yield from _by_label(family.name, inside, family.label, total.values)
    elif isinstance(total, Count | Gauge):
        yield f"{family.name}{{{inside}}} {number(total.value)}\n"


DURATION = Family(
    "chainbench_duration_milliseconds",
    "gauge",
    "Benchmark duration in milliseconds, as reported by the runner.",
)
GAIN = Family(
    "chainbench_gain_percent", "gauge", "Performance gain in percent, as reported by the runner."
)
RUNS = Family("chainbench_runs_total", "counter", "Runs stopped, by result.", label="result")

FAMILIES = (*SECTION_FAMILIES, DURATION, GAIN, RUNS)
"""The metric families of runs, in page order."""


def _lines(family: Family, labels: LabelText, series: Series) -> Iterator[str]:
    """Yield the lines of one family for one label set; none if it was never measured."""
    if family is DURATION:
        if series.duration_ms is not None:
            yield f"{family.name}{{{labels.all}}} {number(series.duration_ms)}\n"
    elif family is GAIN:
        if series.gain_pct is not None:
            yield f"{family.name}{{{labels.without_scenario}}} {number(series.gain_pct)}\n"
    elif family is RUNS:
        yield from _by_label(family.name, labels.all, family.label, series.runs)
    elif (total := series.totals.get(family.name)) is not None:
        yield from _total_lines(family, labels.all, total)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The lines of one label set, one piece for each of `FAMILIES`."""

    series: Series
    pieces: tuple[bytes, ...]


class Exposition:
    """A renderer for one store, with a cache of rendered lines."""

    def __init__(self, store: SeriesStore) -> None:
        self._store = store
        self._rendered: dict[LabelSet, _Rendered] = {}

    def render(self, internal: Iterable[InternalMetric], page_format: PageFormat) -> bytes:
        """Return the whole page: the contract's metrics, then the agent's own."""
        # built anew, so that nothing is left of label sets that are hidden by now
        self._rendered = {
            labels: self._lines_of(labels, series) for labels, series in self._store
        }
        sets = self._rendered.values()
        page = []
        for index, family in enumerate(FAMILIES):
            page.append(_header(family.name, family.type, family.help, page_format))
            page += [rendered.pieces[index] for rendered in sets]
        page += [_internal_lines(metric, page_format) for metric in (*internal, *_of_label_sets(self._store))]
        if page_format is PageFormat.OPENMETRICS:
            page.append(b"# EOF\n")
        return b"".join(page)

    def _lines_of(self, labels: LabelSet, series: Series) -> _Rendered:
        known = self._rendered.get(labels)
        if known is not None and known.series is series:
            return known
        text = _label_text(labels)
        pieces = tuple(_encode("".join(_lines(family, text, series))) for family in FAMILIES)
        return _Rendered(series, pieces)


def _of_label_sets(store: SeriesStore) -> Iterator[InternalMetric]:
    yield InternalMetric(
        "chainbench_agent_label_sets",
        "Label sets that are shown, and those that are hidden because of the limit.",
        "gauge",
        (({"state": "shown"}, len(store)), ({"state": "hidden"}, store.hidden)),
    )
    for what, value, text in (
        ("hidden", store.label_sets_hidden, "Times that a label set was hidden to show another."),
        ("forgotten", store.label_sets_forgotten, "Hidden label sets whose totals are lost."),
        ("refused", store.label_sets_refused, "Reports not shown: they exceed the limit alone."),
    ):
        name = f"chainbench_agent_label_sets_{what}_total"
        yield InternalMetric(name, text, "counter", (({}, value),))


def escape(value: str) -> str:
    """Escape a label value for use between quotes, as both formats require."""
    return value.translate(ESCAPES)


def number(value: float) -> str:
    """Format a sample value as both formats require."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _label_text(labels: LabelSet) -> LabelText:
    pairs = [
        f'{name}="{escape(value)}"' for name, value in zip(labels._fields, labels, strict=True)
    ]
    return LabelText(",".join(pairs), ",".join(pairs[1:]))


def _internal_lines(metric: InternalMetric, page_format: PageFormat) -> bytes:
    lines = "".join(
        f"{metric.name}{_braces(labels)} {number(value)}\n" for labels, value in metric.samples
    )
    return _header(metric.name, metric.type, metric.help, page_format) + _encode(lines)


def _braces(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _header(name: str, kind: str, text: str, page_format: PageFormat) -> bytes:
    if page_format is PageFormat.OPENMETRICS and kind == "counter":
        name = name.removesuffix("_total")
    # OpenMetrics escapes quotes here too, text 0.0.4 does not: so avoid them.
    text = text.translate(HELP_ESCAPES).replace('"', "'")
    return _encode(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")


def _encode(text: str) -> bytes:
    # A single lone surrogate, however it got here, must not break the whole page.
    return text.encode("utf-8", "replace")
