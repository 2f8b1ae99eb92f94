"""``scrape-size``: series and bytes of a scrape, by the number of label sets."""

import argparse

from agent.overhead.table import columns
from benchmarks.commands.options import Commands, positive
from benchmarks.scrape_size import Size, sizes

LABEL_SETS = (1, 100, 10_000)
HEADERS = ("label sets", "format", "series", "bytes", "gzip", "render", "longest turn", "memory")


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "scrape-size", help="measure how large /metrics gets with the label sets (some minutes)"
    )
    command.add_argument(
        "--label-sets", type=positive, nargs="+", default=LABEL_SETS, help="how many to show"
    )
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    found = [size for number in options.label_sets for size in sizes(number)]
    print("\n".join(columns([HEADERS, *map(_row, found)])))
    return 0


def _row(size: Size) -> tuple[str, ...]:
    return (
        f"{size.label_sets:,}",
        size.format,
        "" if size.series is None else f"{size.series:,}",
        f"{size.plain:,}",
        f"{size.compressed:,}",
        f"{size.render_ms:.1f} ms",
        f"{size.turn_ms:.1f} ms",
        f"{size.store_mb:.1f} MB",
    )
