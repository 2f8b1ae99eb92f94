"""Terminal output for block I/O latency."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.terminal.latency import latency
from agent.terminal.values import LONGEST_NAME, count, mapping, milliseconds, number, printable
from agent.terminal.values import rows as objects

TITLE = "Block I/O latency: from issue to completion"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show the distribution, and the I/O that is not in it: failed, hanging or not measured."""
    devices = objects(section.get("devices"))
    return [
        *latency(section, width),
        *_failed(objects(section.get("by_operation"))),
        *_still_open(mapping(section.get("open_at_stop"))),
        *(line for device in devices for line in _of_device(device)),
    ]


def _failed(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row.get("error"):
            what = f"{count(row.get('count'))} {_name(row.get('operation'))} requests"
            yield f"{_name(row.get('device'))}: {what} failed with {_name(row.get('error'))}"


def _still_open(requests: Mapping[str, Any]) -> Iterator[str]:
    if number(requests.get("count")):
        oldest = mapping(requests.get("oldest"))
        what = f"{_name(oldest.get('operation'))} on {_name(oldest.get('device'))}"
        line = f"{count(requests.get('count'))} in flight at the stop, the oldest a {what}"
        yield f"{line} by {_name(oldest.get('command'))}, {milliseconds(oldest.get('age_ms'))}"


def _of_device(device: Mapping[str, Any]) -> Iterator[str]:
    name = _name(device.get("device"))
    completed = mapping(device.get("in_diskstats"))
    kinds = [f"{count(n)} {_name(kind)}s" for kind, n in completed.items() if number(n)]
    if device.get("measured_by") is None and kinds:
        yield f"{name}: not measured; by the kernel's count {', '.join(kinds)} completed"
    for direction, in_flight in mapping(device.get("in_flight")).items():
        if number(older := mapping(in_flight).get("older_than_run")):
            yield f"{name}: {count(older)} {_name(direction)}s hung through the whole run"


def _name(value: object) -> str:
    return printable(value, LONGEST_NAME)
