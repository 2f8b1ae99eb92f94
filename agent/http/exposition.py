"""The metrics page: Prometheus text 0.0.4 and OpenMetrics 1.0.

The two differ in headers only: OpenMetrics names a counter's family without ``_total``, and ends
with ``# EOF``. Sample lines are the same (bounds are written ``1.0`` in both, or a server that
changes formats would take them for different series), so they are rendered once for both.

Rendering runs on the event loop, so it must not take long. A page of 200 label sets has 12,000
lines; only those of the running run change between two scrapes. The lines of each label set are
therefore kept as bytes until its `Series.version` moves.

``chainbench_offcpu_milliseconds_total`` is a gauge by contract. Both formats, their parsers and
Prometheus itself take a gauge of that name; only ``promtool check metrics`` dislikes it.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from agent.aggregate.series import LATENCY_BOUNDS_US, LabelSet, LatencyTotals, Series, SeriesStore
from agent.http.negotiation import PageFormat
from agent.internal_metrics import HealthMetric

BOUNDS = (*(f"{bound}.0" for bound in LATENCY_BOUNDS_US), "+Inf")

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class LabelText(NamedTuple):
    """The inside of the braces, escaped."""

    all: str
    without_scenario: str


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family; ``lines`` gives its samples of one label set."""

    name: str
    type: str
    help: str
    lines: Callable[[str, LabelText, Series], Iterable[str]]


def _histogram(
    section: Callable[[Series], LatencyTotals | None],
) -> Callable[[str, LabelText, Series], Iterator[str]]:
    def lines(name: str, labels: LabelText, series: Series) -> Iterator[str]:
        totals = section(series)
        if totals is None:
            return
        inside = labels.all
        for bound, count in zip(BOUNDS, accumulate(totals.bucket_counts), strict=True):
            yield f'{name}_bucket{{{inside},le="{bound}"}} {count}\n'
        yield f"{name}_sum{{{inside}}} {number(totals.sum_us)}\n"
        yield f"{name}_count{{{inside}}} {totals.count}\n"

    return lines


def _single(
    value: Callable[[Series], float | None],
) -> Callable[[str, LabelText, Series], Iterator[str]]:
    def lines(name: str, labels: LabelText, series: Series) -> Iterator[str]:
        if (shown := value(series)) is not None:
            yield f"{name}{{{labels.all}}} {number(shown)}\n"

    return lines


def _gain(name: str, labels: LabelText, series: Series) -> Iterator[str]:
    if series.gain_pct is not None:
        yield f"{name}{{{labels.without_scenario}}} {number(series.gain_pct)}\n"


def _syscalls(name: str, labels: LabelText, series: Series) -> Iterator[str]:
    for syscall, count in (series.syscalls or {}).items():
        yield f'{name}{{{labels.all},syscall="{escape(syscall)}"}} {count}\n'


def _runs(name: str, labels: LabelText, series: Series) -> Iterator[str]:
    for result, count in series.runs.items():
        yield f'{name}{{{labels.all},result="{result}"}} {count}\n'


FAMILIES = (
    Family(
        "chainbench_runqlat_microseconds",
        "histogram",
        "CPU scheduler run-queue latency in microseconds.",
        _histogram(lambda series: series.runqlat),
    ),
    Family(
        "chainbench_biolatency_microseconds",
        "histogram",
        "Block I/O latency in microseconds.",
        _histogram(lambda series: series.biolatency),
    ),
    Family(
        "chainbench_offcpu_milliseconds_total",
        "gauge",
        "Off-CPU time of the last run in milliseconds.",
        _single(lambda series: series.offcpu_ms),
    ),
    Family(
        "chainbench_duration_milliseconds",
        "gauge",
        "Benchmark duration in milliseconds, as reported by the runner.",
        _single(lambda series: series.duration_ms),
    ),
    Family(
        "chainbench_gain_percent",
        "gauge",
        "Performance gain in percent, as reported by the runner.",
        _gain,
    ),
    Family(
        "chainbench_exec_count_total",
        "counter",
        "Processes that called exec.",
        _single(lambda series: series.exec_count),
    ),
    Family("chainbench_syscall_count_total", "counter", "System calls by name.", _syscalls),
    Family("chainbench_runs_total", "counter", "Runs stopped, by result.", _runs),
)
"""The contract's families, in the order of the page."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The lines of one label set, one piece for each of `FAMILIES`."""

    version: int
    labels: LabelText
    pieces: tuple[bytes, ...]


class Exposition:
    """Renders one store, and remembers what it rendered."""

    def __init__(self, store: SeriesStore) -> None:
        self._store = store
        self._rendered: dict[LabelSet, _Rendered] = {}

    def render(self, health: Iterable[HealthMetric], page_format: PageFormat) -> bytes:
        """The whole page: the contract's metrics, then the agent's own."""
        sets = [self._lines_of(labels, series) for labels, series in self._store]
        page = []
        for index, family in enumerate(FAMILIES):
            page.append(_header(family.name, family.type, family.help, page_format))
            page += [rendered.pieces[index] for rendered in sets]
        page += [_health(metric, page_format) for metric in (*health, self._refused())]
        if page_format is PageFormat.OPENMETRICS:
            page.append(b"# EOF\n")
        return b"".join(page)

    def _lines_of(self, labels: LabelSet, series: Series) -> _Rendered:
        known = self._rendered.get(labels)
        if known is not None and known.version == series.version:
            return known
        text = known.labels if known is not None else _label_text(labels)
        pieces = tuple(
            _encode("".join(family.lines(family.name, text, series))) for family in FAMILIES
        )
        rendered = self._rendered[labels] = _Rendered(series.version, text, pieces)
        return rendered

    def _refused(self) -> HealthMetric:
        return HealthMetric(
            "chainbench_agent_label_sets_refused_total",
            "Runs and reports not shown because the number of label sets is capped.",
            "counter",
            (({}, self._store.label_sets_refused),),
        )


def escape(value: str) -> str:
    """A label value as both formats want it between quotes."""
    return value.translate(ESCAPES)


def number(value: float) -> str:
    """A sample value as both formats want it."""
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


def _health(metric: HealthMetric, page_format: PageFormat) -> bytes:
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
    # OpenMetrics escapes quotes here as well, text 0.0.4 does not know that: so none is written.
    text = text.translate(HELP_ESCAPES).replace('"', "'")
    return _encode(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")


def _encode(text: str) -> bytes:
    # One lone surrogate, from wherever it came, must not cost the whole page.
    return text.encode("utf-8", "replace")
