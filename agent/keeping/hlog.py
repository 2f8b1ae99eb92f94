"""A run's distributions as an HdrHistogram log, for the tools that draw and compare such logs.

The format is that of HdrHistogram's own HistogramLogWriter, version 1.3: comments, a legend, and a
line for each histogram with its tag, when it began, how long it lasted (s), its largest value (ms)
and the histogram itself (V2, compressed, base64). The library's writer for Python rounds the
largest value to whole milliseconds and writes no tags, so the lines are written here.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from agent.words import Json

VERSION = "#[Histogram log format version 1.3]"
LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


def hlog(evidence: Json) -> str:
    """Return the log of one run: its latencies in ns, tagged with their place in the evidence.

    Without the time of a measurement its times are 0, which readers take for unknown.
    """
    began, lasted_s = _times(evidence)
    lines = [
        VERSION,
        f"#[chainbench-agent run {evidence.get('run_id')}; values in nanoseconds]",
        *([] if began is None else _began(began)),
        LEGEND,
        *(_line(tag, latency, lasted_s) for tag, latency in _latencies(evidence)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _began(began: datetime) -> list[str]:
    seconds = f"{began.timestamp():.3f} (seconds since epoch)"
    return [f"#[StartTime: {seconds}, {began:%a %b %d %H:%M:%S UTC %Y}]", f"#[BaseTime: {seconds}]"]


def _line(tag: str, latency: Mapping[str, Any], lasted_s: float) -> str:
    longest_ms = (latency.get("max_us") or 0) / 1000
    return f"Tag={tag},0.000,{lasted_s:.3f},{longest_ms:.3f},{latency['hdr']}"


def _times(evidence: Json) -> tuple[datetime | None, float]:
    """Return when the measurement began, and how many seconds it lasted."""
    began, ended = evidence.get("measured_from"), evidence.get("measured_to")
    if began is None:
        return None, 0.0
    first = datetime.fromisoformat(began)
    if ended is None:  # of a run that was not stopped
        ended = evidence["stopped_at"]
    return first, (datetime.fromisoformat(ended) - first).total_seconds()


def _latencies(value: object, at: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object in the evidence that has an encoded histogram, with its path."""
    if isinstance(value, dict):
        if isinstance(value.get("hdr"), str):
            yield at, value
        for name, inner in value.items():
            yield from _latencies(inner, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        # each row of softirq.by_vector is called by its vector
        section, _, called = at.rpartition(".by_")
        for inner in value:
            name = inner.get(called) if isinstance(inner, dict) else None
            if isinstance(name, str):
                yield from _latencies(inner, f"{section}.{name}")
