"""How far the evidence can be trusted: verdict, checks, counts of events, hooks, cost."""

from collections.abc import Mapping
from typing import Any

from agent.show.layout import named, titled
from agent.show.missing import is_without_agent
from agent.terminal.charts import grid, wrapped
from agent.terminal.style import Style
from agent.terminal.values import (
    count,
    counted,
    duration,
    mapping,
    milliseconds,
    nanoseconds,
    number,
    percent,
    printable,
    size,
)
from agent.terminal.values import rows as objects
from agent.words import LONGEST_USUAL_GAP_MS

ALWAYS_SHOWN = ("produced", "received", "lost")


def verdict(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return the verdict and its reasons."""
    completeness = mapping(evidence.get("completeness"))
    word = completeness.get("verdict")
    if not isinstance(word, str):
        unknown = (
            "this run has no evidence of an agent"
            if is_without_agent(evidence)
            else "this evidence does not say whether it is complete (completeness.verdict)"
        )
        return titled(f"Verdict: {style.bad('none')}", [f"- {unknown}"], style)
    tone = {"complete": style.good, "degraded": style.warning}.get(str(word), style.bad)
    reasons = completeness.get("reasons")
    listed = reasons if isinstance(reasons, list) else []
    lines = [f"- {_reason(printable(reason, 1000))}" for reason in listed]
    if word != "complete" and not lines:
        lines = ["- its reasons are missing (completeness.reasons)"]
    return titled(f"Verdict: {tone(printable(word))}", lines, style)


def _reason(text: str) -> str:
    """Return a reason; what a failed check says stands in full among the checks."""
    code, _, said = text.partition(": ")
    return f"{code}: {said.partition(': ')[0]}" if code == "check_failed" else text


def events(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return the counts of each stream, and of all; most are 0 and not shown."""
    completeness = mapping(evidence.get("completeness"))
    lines: list[str] = []
    for name, stream in mapping(completeness.get("streams")).items():
        known = {k: v for k, v in mapping(stream).items() if number(v) is not None}
        counts = [f"{printable(k)} {count(v)}" for k, v in known.items() if v or k in ALWAYS_SHOWN]
        lines += named(name, counts, columns) if counts else []
    others = [f"{printable(k)} {count(v)}" for k, v in completeness.items() if number(v)]
    return titled("Events", [*lines, *wrapped(others, columns, ", ")], style) if lines else []


def checks(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return the names of the checks that passed, and in full what the others found.

    A check that passed without being conclusive could not have failed, so it is listed apart.
    """
    listed = objects(evidence.get("checks"))
    if not listed:
        return []
    failed = [check for check in listed if check.get("pass") is not True]
    sound = [check for check in listed if check.get("pass") is True]
    unsure = [check for check in sound if check.get("conclusive") is False]
    passed = [printable(c.get("name"), 40) for c in sound if c.get("conclusive") is not False]
    lines = [f"{style.bad('failed')}: {_comparison(check)}" for check in failed]
    lines += [f"{style.warning('could not tell')}: {_comparison(check)}" for check in unsure]
    lines += [f"passed: {', '.join(passed)}"] if passed else []
    return titled(f"Checks: {len(passed)} of {len(listed)} passed", lines, style)


def _comparison(check: Mapping[str, Any]) -> str:
    """Return a check's name and what it says."""
    name, said = printable(check.get("name"), 40), check.get("text")
    if isinstance(said, str):
        return f"{name}: {printable(said, 1000)}"
    shown = nanoseconds if check.get("unit") == "ns" else count  # an older agent's
    return f"{name}: {shown(check.get('ours'))}, the kernel says {shown(check.get('kernel'))}"


def hooks(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return the hooks that programs were attached to, and the versions in use."""
    manifest = mapping(evidence.get("manifest"))
    lines: list[str] = []
    for kind in ("hooks", "details"):
        for name, used in mapping(manifest.get(kind)).items():
            listed = used if isinstance(used, list) else [used]
            lines += named(name, [printable(hook) for hook in listed] or [""], columns)
    chosen = {name: manifest[name] for name in ("transport", "timing") if manifest.get(name)}
    versions = {**mapping(manifest.get("versions")), **chosen}
    with_what = [f"{printable(name)} {printable(value)}" for name, value in versions.items()]
    lines += wrapped(with_what, columns, " · ")
    return titled("Hooks", lines, style) if lines else []


def cost(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return the resources that the agent used, which excludes the cost of the hooks."""
    overhead = mapping(evidence.get("overhead"))
    if not overhead:
        return []
    cpu, wall, received = (number(overhead.get(k)) for k in ("agent_cpu_ms", "wall_ms", "events"))
    lines = [
        f"{counted(received, 'event')} in {milliseconds(wall)}",
        f"{milliseconds(cpu)} of CPU in the agent's processes, {percent(cpu, wall)} of one CPU",
    ]
    if cpu is not None and received:
        lines[1] += f", {duration(cpu * 1000 / received)} per event"
    for process in objects(overhead.get("processes")):
        role, pid = printable(process.get("role"), 15), printable(process.get("pid"), 10)
        line = f"{role:<16}pid {pid:<10}{milliseconds(process.get('cpu_ms'))}"
        waited = number(process.get("run_delay_ms"))
        lines.append(line if waited is None else f"{line}, waited {milliseconds(waited)} for a CPU")
    if number(overhead.get("map_bytes")):
        lines.append(f"{size(overhead.get('map_bytes'))} of kernel memory in maps")
    if (number(gap := overhead.get("longest_drain_gap_ms")) or 0) > LONGEST_USUAL_GAP_MS:
        lines.append(style.warning(f"the agent did not read its buffers for {milliseconds(gap)}"))
    lines += _programs(objects(overhead.get("programs")), columns)
    return titled("Cost of collecting", lines, style)


def _programs(programs: list[Mapping[str, Any]], columns: int) -> list[str]:
    """Return the programs whose runs the kernel timed, the most expensive first."""
    timed = [program for program in programs if number(program.get("run_ns")) is not None]
    if not timed:
        return []
    timed.sort(key=lambda program: -(number(program.get("run_ns")) or 0))
    rows = [
        (
            printable(program.get("name"), 20),
            count(program.get("runs")),
            nanoseconds(program.get("run_ns")),
            printable(program.get("hook"), 40),
        )
        for program in timed
    ]
    return grid([("program", "runs", "total", "hook"), *rows], columns)
