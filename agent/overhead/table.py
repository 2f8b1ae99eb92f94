"""Results as text for a terminal. A difference within the noise floor is "no difference"."""

from collections.abc import Iterable, Sequence

from agent.overhead.machine import Machine
from agent.overhead.protocols import Missing
from agent.overhead.results import Measured, Result, WorkloadResult
from agent.overhead.stats import is_difference

HEADERS = ("configuration", "slowdown", "95 % interval", "pairs", "overhead")


def render(result: Result) -> str:
    """Return the whole result as text: the machine, all workloads, and what was skipped."""
    parts = [render_machine(result.machine), *map(render_workload, result.workloads)]
    if result.skipped:
        parts.append("\n".join(_skipped_lines("not run", result.skipped.items())))
    took = f"{result.started}, {result.seconds:.0f} s"
    load = f"load {result.load_before:.2f} before, {result.load_after:.2f} after"
    return "\n\n".join([*parts, f"{took}; {load}"]) + "\n"


def render_machine(machine: Machine) -> str:
    """Return the kernel, the CPUs, and the settings that affect costs."""
    governor = machine.governor or "unknown"
    mitigated = [name for name, state in machine.mitigations.items() if "Mitigation" in state]
    return "\n".join(
        [
            f"{machine.cpu_model}, {machine.cpus} CPUs, {machine.memory_mb} MB,"
            f" kernel {machine.kernel} {machine.architecture}",
            f"governor {governor}, clocksource {machine.clocksource},"
            f" mitigations: {', '.join(mitigated) or 'none'}",
            ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        ]
    )


def render_workload(workload: WorkloadResult) -> str:
    """Return one workload: the noise floor, then a row for each configuration."""
    floor = workload.noise_floor()
    rows = [_row(measured, floor) for measured in workload.measured]
    lines = [_title(workload, floor), *columns([HEADERS, *rows])]
    for measured in workload.measured:
        lines += [f"  {measured.name}: {remark}" for remark in measured.remarks]
    lines += _skipped_lines("skipped", workload.skipped.items())
    return "\n".join(lines)


def overhead_text(measured: Measured, floor: float | None) -> str:
    """Return the overhead in percent, or "no difference" if it is indistinguishable from noise."""
    estimate = measured.estimate()
    if measured.name == "nothing":
        return "the noise floor" if floor is None else f"noise floor ±{floor:.1%}"
    if floor is not None and not is_difference(estimate, floor):
        return "no difference"
    return f"{estimate.middle - 1:+.1%}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _title(workload: WorkloadResult, floor: float | None) -> str:
    bare = workload.bare_seconds()
    speed = "" if bare is None else f", {_seconds(bare)} per {workload.operation} bare"
    where = f", on CPU {','.join(map(str, workload.cpus))}" if workload.cpus else ""
    noise = "not measured" if floor is None else f"±{floor:.1%}"
    return f"{workload.name}{speed}{where}; noise floor {noise}"


def _row(measured: Measured, floor: float | None) -> tuple[str, ...]:
    estimate = measured.estimate()
    return (
        measured.label,
        f"{estimate.middle:.3f}",
        f"{estimate.low:.3f} - {estimate.high:.3f}",
        str(len(measured.pairs)),
        overhead_text(measured, floor),
    )


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _skipped_lines(word: str, skipped: Iterable[tuple[str, Missing]]) -> list[str]:
    """Return one line for each reason, with all the names that share it."""
    names: dict[str, list[str]] = {}
    for name, missing in skipped:
        names.setdefault(missing_text(missing), []).append(name)
    return [f"  {word}: {', '.join(those)}: {text}" for text, those in names.items()]


def missing_text(missing: Missing) -> str:
    """Return the last line of the reason, which may be a log or a traceback, and the cure."""
    lines = missing.reason.strip().splitlines() or ["no reason given"]
    return lines[-1].strip() + (f" ({missing.cure})" if missing.cure else "")
