"""How far each quantile of the latencies moved between two commands."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.amounts import FEWEST, ms
from agent.show.differences import signed
from agent.show.layout import titled
from agent.terminal.charts import grid
from agent.terminal.evidence import LATENCIES
from agent.terminal.parts import excludes_0
from agent.terminal.style import Style
from agent.terminal.values import ABSENT, counted, mapping, number, significant
from agent.terminal.values import rows as objects

ONE_BY_ONE = (
    "each interval by itself: of twenty quantiles without a difference, one is expected here"
)


def shifts(
    comparison: Mapping[str, Any], columns: int, style: Style, whole: bool
) -> list[list[str]]:
    """Return a table for each latency: the quantiles that moved, or all."""
    return [
        _shift(title, objects(mapping(comparison.get("shift")).get(name)), columns, style, whole)
        for name, title in LATENCIES.items()
    ]


def moved(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the quantiles for which the interval of the difference excludes 0."""
    return [row for row in rows if excludes_0(mapping(row.get("difference_us")))]


def _has_interval(found: Mapping[str, Any]) -> bool:
    return number(found.get("low")) is not None and number(found.get("high")) is not None


def _shift(
    title: str, rows: Sequence[Mapping[str, Any]], columns: int, style: Style, whole: bool
) -> list[str]:
    if not rows:
        return []
    shown = rows if whole else moved(rows)
    body = [
        *(grid([HEADER, *map(row_of, shown)], columns) if shown else []),
        *notes_on_quantiles(shown, rows),
    ]
    return ["", *titled(f"{title}: quantiles, medians over runs", body, style)]


def notes_on_quantiles(
    shown: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return how to read the quantiles that are shown, and how many are not, and why."""
    unknown = sum(not _has_interval(mapping(row.get("difference_us"))) for row in rows)
    alike = len(rows) - unknown - len(moved(rows))
    said = [ONE_BY_ONE] if moved(shown) else []
    if len(shown) < len(rows):
        said += [f"{counted(alike, 'quantile')} without a difference"] if alike else []
        few = f"{counted(unknown, 'quantile')} with too few runs: it takes {FEWEST} of each"
        said += [few] if unknown else []
    return said


HEADER = ("quantile", "baseline", "optimized", "difference", "95 % interval")


def row_of(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return the cells of `HEADER`."""
    before, after = (_us(row.get(f"{side}_us")) for side in ("baseline", "optimized"))
    found = mapping(row.get("difference_us"))
    low, middle, high = (_signed_us(found.get(name)) for name in ("low", "middle", "high"))
    bounds = f"{low} – {high}" if _has_interval(found) else ABSENT
    return _name(row.get("quantile")), before, after, middle, bounds


def _name(quantile: object) -> str:
    known = number(quantile)
    return ABSENT if known is None else f"p{_plain(100 * known)}"


def _plain(percent: float) -> str:
    """Return a percentage as percentiles are named: ``50``, ``99.9``, ``99.99``."""
    return significant(percent) if percent < 10 else f"{percent:.10g}"


def _us(value: object) -> str:
    known = number(value)
    return ms(None if known is None else known / 1e3)


def _signed_us(value: object) -> str:
    known = number(value)
    return signed(None if known is None else known / 1e3, "ms")
