"""Results as text for a terminal. A difference within the noise floor is "no difference"."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agent.nouns import agreeing, counted
from agent.overhead.machine import Machine
from agent.overhead.protocols import Missing
from agent.overhead.results import NOTHING, Measured, Result, WorkloadResult
from agent.overhead.stats import is_difference
from agent.statistics.estimate import FEWEST, Estimate
from agent.terminal.values import printable
from agent.terminal.width import cells, fit, left, right

HEADERS = ("configuration", "slowdown", "95 % interval", "pairs", "overhead")
QUOTED_LINES = 8
"""Maximum number of lines quoted of a log."""
LONGEST_LINE = 500


def render(result: Result, width: int = 80) -> str:
    """Return the whole result as text: the machine, all workloads, and what was skipped."""
    workloads = [render_workload(workload, width) for workload in result.workloads]
    parts = [render_machine(result.machine), *workloads]
    if result.skipped:
        parts.append("\n".join(_skipped_lines("not run", result.skipped.items())))
    took = f"{result.started}, {result.seconds:.0f} s"
    load = f"load {result.load_before:.2f} before, {result.load_after:.2f} after"
    return fit("\n\n".join([*parts, f"{took}; {load}"]) + "\n", width)


def render_machine(machine: Machine) -> str:
    """Return the kernel, the CPUs, and the settings that affect costs."""
    governor = machine.governor or "unknown"
    mitigated = [name for name, state in machine.mitigations.items() if "Mitigation" in state]
    return "\n".join(
        [
            f"{machine.cpu_model}, {counted(machine.cpus, 'CPU')}, {machine.memory_mb} MB,"
            f" kernel {machine.kernel} {machine.architecture}",
            f"governor {governor}, clocksource {machine.clocksource},"
            f" mitigations: {', '.join(mitigated) or 'none'}",
            ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        ]
    )


def render_workload(workload: WorkloadResult, width: int = 80) -> str:
    """Return one workload: the noise floor, then a row for each configuration."""
    floor = workload.noise_floor()
    rows = [_row(measured, floor) for measured in workload.measured]
    lines = [_title(workload, floor), *_table(rows, width)]
    lines += _without_interval(workload.measured)
    for measured in workload.measured:
        lines += [f"  {measured.name}: {missing_text(Missing(r))}" for r in measured.remarks]
    lines += _skipped_lines("skipped", workload.skipped.items())
    if workload.ended:
        lines.append(f"  ended early: {missing_text(Missing(workload.ended))}")
    return "\n".join(lines)


def overhead_text(measured: Measured, floor: float | None) -> str:
    """Return the overhead in percent, or "no difference" if it is indistinguishable from noise."""
    estimate = measured.estimate()
    if measured.name == NOTHING:
        return "noise floor not known" if floor is None else f"noise floor {floor:.1%}"
    if floor is not None and estimate.has_interval and not is_difference(estimate, floor):
        return "no difference"
    return f"{estimate.middle - 1:+.1%}"


def interval_text(estimate: Estimate, digits: int = 3, to: str = " - ") -> str:
    """Return the bounds: ``1.120 - 1.180``; ``none`` if there are too few pairs."""
    if not estimate.has_interval:
        return "none"
    return f"{estimate.low:.{digits}f}{to}{estimate.high:.{digits}f}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: the first column flush left, the others flush right."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            left(cell, width) if index == 0 else right(cell, width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the rows below their headers, or each as a paragraph if the screen is too narrow."""
    lines = columns([HEADERS, *rows])
    if max(map(cells, lines)) <= width:
        return lines
    return [line for row in rows for line in _paragraph(*row)]


def _paragraph(label: str, slowdown: str, interval: str, pairs: str, overhead: str) -> list[str]:
    figures = f"slowdown {slowdown}, {HEADERS[2]} {interval}, {agreeing(pairs, 'pair')}"
    return [label, f"  {figures}: {overhead}"]


def _title(workload: WorkloadResult, floor: float | None) -> str:
    bare = workload.bare_seconds()
    speed = "" if bare is None else f", {_seconds(bare)} per {workload.operation} bare"
    where = f", on CPU {','.join(map(str, workload.cpus))}" if workload.cpus else ""
    noise = "not known" if floor is None else f"{floor:.1%}"
    return f"{workload.name}{speed}{where}; noise floor {noise}"


def _row(measured: Measured, floor: float | None) -> tuple[str, ...]:
    estimate = measured.estimate()
    return (
        measured.label,
        f"{estimate.middle:.3f}",
        interval_text(estimate),
        str(len(measured.pairs)),
        overhead_text(measured, floor),
    )


def _without_interval(measured: Iterable[Measured]) -> list[str]:
    """Return the slowdowns one by one where there are too few of them for an interval."""
    few = [one for one in measured if not one.estimate().has_interval]
    if not few:
        return []
    why = f"fewer than {FEWEST} pairs have no 95 % interval, so nothing here is significant:"
    values = [
        f"  {one.name}: {', '.join(f'{pair.slowdown:.3f}' for pair in one.pairs)}" for one in few
    ]
    return [f"  {why}", *(f"  {line}" for line in values)]


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def reasons_text(missing: Mapping[str, Missing]) -> str:
    """Return each reason on one line, with all the names that share it."""
    return "\n".join(_by_reason(missing.items()))


def most_common_reason(missing: Mapping[str, Missing]) -> str:
    """Return the reason that most of them have: one limit may stop each at another point."""
    [(text, _)] = Counter(map(missing_text, missing.values())).most_common(1)
    return text


def _skipped_lines(word: str, skipped: Iterable[tuple[str, Missing]]) -> list[str]:
    return [f"  {word}: {line}" for line in _by_reason(skipped)]


def _by_reason(skipped: Iterable[tuple[str, Missing]]) -> list[str]:
    """Return one line for each reason, with all the names that share it."""
    names: dict[str, list[str]] = {}
    for name, missing in skipped:
        names.setdefault(missing_text(missing), []).append(name)
    return [f"{', '.join(those)}: {text}" for text, those in names.items()]


def missing_text(missing: Missing) -> str:
    """Return the reason and the cure on one line.

    What failed is said first, and what a log says about it follows; of a traceback only its error.
    """
    lines = _without_tracebacks(missing.reason.splitlines()) or ["no reason given"]
    if len(lines) > QUOTED_LINES:
        half = QUOTED_LINES // 2
        lines = [*lines[:half], "...", *lines[-half:]]
    return "; ".join(lines) + (f" ({missing.cure})" if missing.cure else "")


def _without_tracebacks(lines: Iterable[str]) -> list[str]:
    """Return the lines that say something, without the calls that led to an error."""
    kept: list[str] = []
    in_calls = False
    for line in lines:
        begins = line.lstrip().startswith("Traceback")
        in_calls = begins or (in_calls and line.startswith(" "))
        if line.strip() and not in_calls:
            kept.append(printable(line.strip(), LONGEST_LINE))
    return kept
