"""Terminal output for block I/O latency."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.terminal.charts import grid, wrapped
from agent.terminal.latency import latency, quantiles
from agent.terminal.values import (
    ABSENT,
    LONGEST_NAME,
    TOP,
    count,
    counted,
    mapping,
    milliseconds,
    number,
    printable,
    size,
)
from agent.terminal.values import rows as objects

TITLE = "Block I/O latency: from issue to completion"
LABEL = "block I/O"
LEFT_OUT = {
    "kernel_threads": "by kernel threads",
    "other_tasks": "by tasks out of scope",
    "failed": "failed",
    "without_data": "without data",
    "issued_before": "issued before the run",
    "untimed": "not timed",
    "stacked": "on disks that lie on others",
    "folded": "folded in the kernel without a time",
}
"""Reasons of ``not_in_histogram`` in words."""
WHOLE_MACHINE = ("kernel_threads", "other_tasks")
"""Reasons that only a run with a scope has: these requests are those of the whole machine."""


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show the distribution, and the I/O that is not in it: failed, hanging or not measured."""
    devices = objects(section.get("devices"))
    operations = objects(section.get("by_operation"))
    summary, *distribution = latency(section, width)
    return [
        summary,
        *(
            line
            for said in _left_out(objects(section.get("not_in_histogram")))
            for line in wrapped(said, width, " ")
        ),
        *distribution,
        *_by_operation(operations, width),
        *_failed(operations),
        *_still_open(mapping(section.get("open_at_stop"))),
        *(line for device in devices for line in _of_device(device)),
    ]


def _left_out(reasons: list[Mapping[str, Any]]) -> list[list[str]]:
    """Return sentences, in parts: the requests that are not in the histogram, by reason.

    What a scope leaves out has one of its own: it is mostly somebody else's.
    """
    elsewhere = [row for row in reasons if row.get("reason") in WHOLE_MACHINE]
    others = [row for row in reasons if row.get("reason") not in WHOLE_MACHINE]
    sentences = (("not in the histogram", others), ("on the whole machine meanwhile", elsewhere))
    return [_sentence(begins, rows) for begins, rows in sentences if rows]


def _sentence(begins: str, reasons: list[Mapping[str, Any]]) -> list[str]:
    parts = [f"{count(row.get('count'))} {_why(row)}{_time(row)}" for row in reasons]
    parts[0] = f"{begins}: {parts[0]}"
    return [*(f"{part}," for part in parts[:-1]), parts[-1]]


def _why(row: Mapping[str, Any]) -> str:
    reason = row.get("reason")
    return LEFT_OUT.get(str(reason), _name(reason))


def _time(row: Mapping[str, Any]) -> str:
    ms = number(row.get("device_ms"))
    return "" if ms is None else f" ({milliseconds(ms)})"


def _by_operation(operations: list[Mapping[str, Any]], width: int) -> list[str]:
    """Return a row for each kind of request that completed, the longest device time first."""
    if not operations:
        return []
    ordered = sorted(operations, key=lambda row: -(number(row.get("device_ms")) or 0))
    rows = [
        (
            _name(row.get("device")),
            _name(row.get("operation")),
            _name(row.get("by")).removesuffix("_threads"),
            count(row.get("count")),
            size(row.get("bytes")),
            # what was issued before the run is counted, not timed
            ABSENT if row.get("in_flight_at_start") else milliseconds(row.get("device_ms")),
            _remark(row),
        )
        for row in ordered[:TOP]
    ]
    headers = ("device", "operation", "by", "requests", "size", "total", "")
    lines = grid([headers, *rows], width)
    if len(operations) > TOP:
        lines.append(f"and {counted(len(operations) - TOP, 'more row')}")
    return lines


def _remark(row: Mapping[str, Any]) -> str:
    if row.get("error"):
        return _name(row.get("error"))
    if row.get("in_flight_at_start"):
        return "issued before"
    if row.get("empty"):
        return "without data"
    return "not in histogram" if row.get("in_histogram") is False else ""


def _failed(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row.get("error"):
            what = counted(row.get("count"), f"{_name(row.get('operation'))} request")
            whose = " by kernel threads" if row.get("by") == "kernel_threads" else ""
            yield f"{_name(row.get('device'))}: {what}{whose} failed with {_name(row.get('error'))}"


def _still_open(requests: Mapping[str, Any]) -> Iterator[str]:
    if number(requests.get("count")):
        oldest = mapping(requests.get("oldest"))
        what = f"{_name(oldest.get('operation'))} on {_name(oldest.get('device'))}"
        line = f"{count(requests.get('count'))} in flight at the stop, the oldest a {what}"
        yield f"{line} by {_name(oldest.get('command'))}, {milliseconds(oldest.get('age_ms'))}"


def _of_device(device: Mapping[str, Any]) -> Iterator[str]:
    name = _name(device.get("device"))
    completed = mapping(device.get("in_diskstats"))
    kinds = [counted(n, _name(kind)) for kind, n in completed.items() if number(n)]
    if isinstance(below := device.get("lies_on"), list) and below:
        yield f"{name}: lies on {', '.join(map(_name, below))}"
    if device.get("measured_by") is None and kinds:
        yield f"{name}: not measured; by the kernel's count {', '.join(kinds)} completed"
    for direction, in_flight in mapping(device.get("in_flight")).items():
        if number(older := mapping(in_flight).get("older_than_run")):
            yield f"{name}: {counted(older, _name(direction))} hung through the whole run"


def _name(value: object) -> str:
    return printable(value, LONGEST_NAME)


def summary(section: Mapping[str, Any]) -> str:
    """Return how many requests there were and how long they took, and what is not in that."""
    parts = []
    if number(section.get("count")):
        parts.append(f"{counted(section.get('count'), 'request')}, {quantiles(section)}")
    reasons = objects(section.get("not_in_histogram"))
    if not parts and reasons and all(row.get("reason") in WHOLE_MACHINE for row in reasons):
        parts.append("none by tasks in scope")
    # those that failed are named below, with their disk
    told = _left_out([row for row in reasons if row.get("reason") != "failed"])
    parts += [" ".join(sentence) for sentence in told]
    parts += _failed(objects(section.get("by_operation")))
    parts += _still_open(mapping(section.get("open_at_stop")))
    return "; ".join(parts) or "no request"
