"""Prometheus text 0.0.4 and OpenMetrics 1.0: how families, labels and values are written.

The formats differ in three places. OpenMetrics names a counter's family without ``_total`` in the
headers, it has samples that say when a counter or a histogram was created, and it ends with
``# EOF``. Bounds are written ``1.0`` in both; otherwise a server that switches formats would see
different series.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import accumulate

from agent.aggregate.families import Family
from agent.aggregate.series import LabelSet
from agent.aggregate.totals import LATENCY_BOUNDS_US, LatencyTotals
from agent.http.run_families import Value, labels_of
from agent.internal_metrics import InternalMetric

BOUNDS = (*(f"{bound}.0" for bound in LATENCY_BOUNDS_US), "+Inf")

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class TextFormat:
    """Text 0.0.4."""

    end = b""
    says_created = False

    def before_runs(self, family: Family, size: int) -> bytes:
        """Return what stands before a family's samples, all of `samples`, of that many bytes."""
        return self._header(family.name, family.type, family.help)

    def of_agent(self, metric: InternalMetric, created: float) -> bytes:
        """Return a family of the agent's own, whose counters were 0 when they were ``created``."""
        lines = (
            line
            for labels, value in metric.samples
            for line in self._sample(metric.name, metric.type, _inside(labels), value, created)
        )
        return self._header(metric.name, metric.type, metric.help) + encode("".join(lines))

    def samples(self, family: Family, labels: LabelSet, value: Value, created: float) -> bytes:
        """Return one label set's lines of a family."""
        inside = _of_label_set(labels, family.has_scenario)
        return encode("".join(self._lines(family, inside, value, created)))

    def _lines(self, family: Family, inside: str, value: Value, created: float) -> Iterator[str]:
        if isinstance(value, LatencyTotals):
            yield from self._histogram(family.name, inside, value, created)
        elif isinstance(value, int | float):
            yield from self._sample(family.name, family.type, inside, value, created)
        else:
            for own, number_of in value.items():
                with_own = f'{inside},{family.label}="{escape(own)}"'
                yield from self._sample(family.name, family.type, with_own, number_of, created)

    def _histogram(
        self, name: str, inside: str, totals: LatencyTotals, created: float
    ) -> Iterator[str]:
        for bound, count in zip(BOUNDS, accumulate(totals.bucket_counts), strict=True):
            yield f'{name}_bucket{{{inside},le="{bound}"}} {count}\n'
        yield f"{name}_sum{{{inside}}} {number(totals.sum_us)}\n"
        yield f"{name}_count{{{inside}}} {totals.count}\n"
        if self.says_created:
            yield f"{name}_created{{{inside}}} {number(created)}\n"

    def _sample(
        self, name: str, kind: str, inside: str, value: float, created: float
    ) -> Iterator[str]:
        braces = f"{{{inside}}}" if inside else ""
        yield f"{name}{braces} {number(value)}\n"
        if self.says_created and kind == "counter":
            yield f"{name.removesuffix('_total')}_created{braces} {number(created)}\n"

    def _header(self, name: str, kind: str, text: str) -> bytes:
        # OpenMetrics escapes quotes here too, text 0.0.4 does not: so avoid them.
        text = text.translate(HELP_ESCAPES).replace('"', "'")
        return encode(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")


class OpenMetrics(TextFormat):
    """OpenMetrics 1.0."""

    end = b"# EOF\n"
    says_created = True

    def _header(self, name: str, kind: str, text: str) -> bytes:
        family = name.removesuffix("_total") if kind == "counter" else name
        return super()._header(family, kind, text)


@lru_cache(maxsize=4)
def _of_label_set(labels: LabelSet, has_scenario: bool) -> str:
    """Return the same for a label set, whose families are written one after another."""
    return _inside(labels_of(labels, has_scenario))


def _inside(labels: Mapping[str, str]) -> str:
    """Return what stands between the braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())


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


def encode(text: str) -> bytes:
    """Return UTF-8. A single lone surrogate, however it got here, must not break the whole page."""
    return text.encode("utf-8", "replace")
