"""The metrics page: the families of runs, then those of the agent, in the format asked for.

Rendering runs on the event loop, so it must not take long at a time. A page of 200 label sets has
15,000 lines; only those of the run in progress change between two scrapes. The lines of each label
set are therefore cached as bytes for as long as its `Series` is the same object, and the page is
rendered in steps, between which the loop may turn.

``chainbench_offcpu_milliseconds_total`` is a gauge because the contract says so. All formats,
their parsers and Prometheus itself accept a gauge with that name; only ``promtool check metrics``
complains.
"""

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, get_args

from agent.aggregate.families import Family
from agent.aggregate.series import LabelSet, Series, SeriesStore
from agent.http.negotiation import PageFormat
from agent.http.protobuf_format import Histograms, ProtobufFormat
from agent.http.run_families import FAMILIES, Value, shown
from agent.http.text_format import OpenMetrics, TextFormat
from agent.internal_metrics import InternalMetric


class Format(Protocol):
    """How a page is written; each method is as in `TextFormat`."""

    end: bytes

    def before_runs(self, family: Family, size: int) -> bytes: ...

    def of_agent(self, metric: InternalMetric, created: float) -> bytes: ...

    def samples(self, family: Family, labels: LabelSet, value: Value, created: float) -> bytes: ...


AT_ONCE = 256
"""How many label sets' samples of one family make up a step."""

_TEXT: dict[PageFormat, Format] = {
    PageFormat.TEXT: TextFormat(),
    PageFormat.OPENMETRICS: OpenMetrics(),
}
_PROTOBUF: dict[Histograms, Format] = {kind: ProtobufFormat(kind) for kind in get_args(Histograms)}


def writer(page_format: PageFormat, histograms: Histograms) -> Format:
    """Return what writes a page. Text has no native histograms, so it always has the classic."""
    return _TEXT.get(page_format) or _PROTOBUF[histograms]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The samples of one label set, one piece for each of `FAMILIES`."""

    series: Series
    pieces: tuple[bytes, ...]


class Exposition:
    """A renderer for one store, with a cache of rendered samples for each format in use."""

    def __init__(self, store: SeriesStore, created: float | None = None) -> None:
        """``created``: when the agent's own counters were 0, in seconds since 1970; or now."""
        self._store = store
        self._created = round(time.time(), 3) if created is None else created
        self._rendered: dict[Format, dict[LabelSet, _Rendered]] = {}

    def render(
        self,
        internal: Iterable[InternalMetric],
        page_format: PageFormat,
        histograms: Histograms = "both",
    ) -> bytes:
        """Return the whole page: the contract's metrics, then the agent's own."""
        return b"".join(chain.from_iterable(self.steps(internal, writer(page_format, histograms))))

    def steps(self, internal: Iterable[InternalMetric], own: Format) -> Iterator[Sequence[bytes]]:
        """Yield the page in pieces, as of now, those of each step together; some steps have none.

        They are not joined here: that would copy the page, megabytes of it, a second time.
        """
        metrics = (*internal, *_of_label_sets(self._store))
        now = list(self._store)
        known = self._rendered.get(own, {})
        # built anew, in the order of the store
        rendered: dict[LabelSet, _Rendered] = {}
        for labels, series in now:
            if (before := known.get(labels)) is not None and before.series is series:
                rendered[labels] = before
            else:
                rendered[labels] = _rendered(own, labels, series)
            yield ()
        self._rendered[own] = rendered
        self._forget_hidden(rendered.keys())
        for index, family in enumerate(FAMILIES):
            pieces = [one.pieces[index] for one in rendered.values()]
            yield (own.before_runs(family, sum(map(len, pieces))),)
            for first in range(0, len(pieces), AT_ONCE):
                yield pieces[first : first + AT_ONCE]
        for metric in metrics:
            yield (own.of_agent(metric, self._created),)
        yield (own.end,)

    def _forget_hidden(self, shown: Set[LabelSet]) -> None:
        """Drop what another format has of label sets that are hidden; it may not be asked again."""
        for of_format in self._rendered.values():
            for labels in of_format.keys() - shown:
                del of_format[labels]


def _rendered(own: Format, labels: LabelSet, series: Series) -> _Rendered:
    values = ((family, shown(family, series)) for family in FAMILIES)
    pieces = (
        b"" if value is None else own.samples(family, labels, value, series.created)
        for family, value in values
    )
    return _Rendered(series, tuple(pieces))


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
