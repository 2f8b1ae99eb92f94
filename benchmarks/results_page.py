"""``RESULTS.md``: the last full run for reading, with what it had to show."""

from collections.abc import Mapping, Sequence

from agent.overhead.results import Result, WorkloadResult
from agent.overhead.table import HEADERS, missing_text, overhead_text, render_machine
from benchmarks.targets import Row, part_rows, ratio_rows

INTRODUCTION = """# What collecting costs

Written by `python -m benchmarks overhead --full` and `micro --full` from the figures in
`results.json` and `micro.json`.

Slowdown is the time of one operation with something attached, divided by the mean of the bare runs
before and after it; medians over pairs, with bootstrap 95 % intervals. Overhead is slowdown minus
one. The noise floor is how far the A/A pairs (nothing against nothing) differ; a smaller difference
is reported as no difference."""


def write_page(result: Result | None, figures: Mapping[str, float], pictures: Sequence[str]) -> str:
    """The page in Markdown. ``figures`` are those of ``micro``, by name."""
    parts = [INTRODUCTION]
    if result:
        parts += ["```text\n" + render_machine(result.machine) + "\n" + _session(result) + "\n```"]
    parts += ["## Targets", _targets(ratio_rows(result) + part_rows(figures))]
    parts += [f"![{name}]({name})" for name in pictures]
    if result:
        parts += [_workload(workload) for workload in result.workloads]
        parts += [_skipped(result)] if result.skipped else []
    return "\n\n".join(parts) + "\n"


def _session(result: Result) -> str:
    return (
        f"{result.started}, {result.seconds:.0f} s,"
        f" load {result.load_before:.2f} before, {result.load_after:.2f} after"
    )


def _targets(rows: Sequence[Row]) -> str:
    return _table(
        ("", "at most", "found", ""),
        [(row.text, row.limit, row.found, row.verdict) for row in rows],
    )


def _workload(workload: WorkloadResult) -> str:
    floor = workload.noise_floor()
    rows = [
        (
            measured.label,
            f"{estimate.middle:.3f}",
            f"{estimate.low:.3f} – {estimate.high:.3f}",
            str(len(measured.pairs)),
            overhead_text(measured, floor),
        )
        for measured in workload.measured
        for estimate in [measured.estimate()]
    ]
    lines = [f"* {m.name}: {remark}" for m in workload.measured for remark in m.remarks]
    lines += [
        f"* {name} skipped: {missing_text(missing)}" for name, missing in workload.skipped.items()
    ]
    parts = [f"## {workload.name}", _table(HEADERS, rows), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part)


def _skipped(result: Result) -> str:
    lines = [f"* {name}: {missing_text(missing)}" for name, missing in result.skipped.items()]
    return "\n".join(["## Not run", "", *lines])


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """GitHub's table; a bar in a cell would end it."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
