"""Results of measured overhead: printed, compared, and written with their pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

from agent.overhead.results import Result
from agent.overhead.table import columns, render
from benchmarks.against import Checkout, checkout
from benchmarks.chart import draw
from benchmarks.comparison import compare_slowdowns, comparison_table
from benchmarks.kept import picture
from benchmarks.targets import Row, held_rows, ratio_rows


def show(result: Result) -> None:
    print(render(result))
    show_rows(held_rows(result) + ratio_rows(result))


def show_rows(rows: Sequence[Row]) -> None:
    """Print targets with what was measured."""
    lines = [(row.text, row.limit, row.found, row.verdict) for row in rows]
    print("\n".join(columns([("", "limit", "measured", ""), *lines])))


def show_comparison(result: Result, other: Checkout) -> int:
    """Print a comparison and return the exit status: 1 if nothing could be compared."""
    compared = [found for workload in result.workloads for found in compare_slowdowns(workload)]
    print(render(result))
    print(sides(other))
    print("\n".join(columns(comparison_table(compared))))
    return 0 if compared else 1


def sides(other: Checkout) -> str:
    this = checkout()
    return f"new: {this.path} ({this.commit}), old: {other.path} ({other.commit})"


def write(result: Result, path: Path) -> None:
    """Write the JSON, and one picture per workload next to it."""
    path.write_text(json.dumps(result.to_json(), indent=1) + "\n")
    draw_all(result, path)


def draw_all(result: Result, path: Path) -> None:
    """Write one picture per workload next to the JSON."""
    for workload in result.workloads:
        picture(path, workload.name).write_text(draw(result, workload))
