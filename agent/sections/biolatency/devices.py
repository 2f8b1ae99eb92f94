"""The rows of ``devices``: each disk with what the kernel says about it."""

from collections.abc import Iterator, Mapping

from agent.sections.biolatency.disk_readings import DIRECTIONS, DiskReadings
from agent.sections.biolatency.diskstats import COLUMNS
from agent.sections.biolatency.requests_table import OTHER_DEVICE, BlockTable, device_name
from agent.sections.biolatency.stacking import Below, Stacking
from agent.words import Json

NOT_FOUND = DiskReadings(None, None, None, None)


def device_rows(
    disks: Mapping[str, DiskReadings], table: BlockTable, stacking: Stacking
) -> Iterator[Json]:
    """Yield a row for each disk that had I/O, by our count or by the kernel's."""
    ours = {device_name(number): number for number in table.devices() if number != OTHER_DEVICE}
    for device in sorted({*disks, *ours}):
        readings = disks.get(device, NOT_FOUND)
        if device not in ours and readings.is_idle:
            continue
        growth = readings.growth()
        begun = table.begun(ours[device]) if device in ours else {}
        in_flight = dict(_in_flight(readings, begun))
        if device in ours or in_flight or any((growth or {}).values()):
            yield {
                "device": device,
                "measured_by": measured_by(readings, table, ours.get(device)),
                "lies_on": _listed(stacking.below(device)),
                "in_diskstats": growth or dict.fromkeys(COLUMNS),
                "in_flight": in_flight,
            }


def measured_by(readings: DiskReadings, table: BlockTable, number: int | None) -> str | None:
    """Return what the disk's I/O is measured by: requests, or bios; None if it is not."""
    if number is not None:
        return "bios" if table.has_bios(number) else "requests"
    return None if readings.takes_bios else "requests"


def _in_flight(readings: DiskReadings, begun: Mapping[str, int]) -> Iterator[tuple[str, Json]]:
    """Yield each direction in which requests were in flight at the start or at the stop."""
    for direction, operations in DIRECTIONS.items():
        start, stop = readings.in_flight(direction)
        if not (start or stop):
            continue
        seen = sum(begun.get(operation, 0) for operation in operations)
        least, most = readings.older_than_run(direction, seen) or (None, None)
        yield (
            direction,
            {
                "at_start": start,
                "at_stop": stop,
                "older_than_run": least,
                "older_than_run_at_most": most,
            },
        )


def _listed(below: Below) -> list[str] | None:
    return None if below is None else list(below)
