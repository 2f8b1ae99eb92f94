"""A short report: what was measured, what stands out in each section, and how far to trust it."""

from collections.abc import Mapping
from typing import Any

from agent.sections.shown import SHOWN
from agent.show.finished import finished
from agent.show.fleet import fleet
from agent.show.header import banner, covered, timing, when
from agent.show.layout import MARGIN, screen_columns, table, titled
from agent.show.procfs import procfs
from agent.show.series import is_series, series
from agent.show.text import details
from agent.show.trust import checks, verdict
from agent.show.wall import TITLE, wall
from agent.terminal.style import Style
from agent.terminal.values import counted, mapping, milliseconds, number, percent, printable
from agent.terminal.width import fit


def brief(
    evidence: Mapping[str, Any], width: int = 80, color: bool = False, *, reason_known: bool = False
) -> str:
    """Return the report, no line wider than ``width`` columns, ending in a newline.

    ``reason_known``: if nothing was measured, the reader has been told why.
    """
    style = Style(color)
    screen = screen_columns(width)
    columns = screen - len(MARGIN)
    if is_series(evidence):
        return series(evidence, screen, style)
    parts = [banner(evidence, style), [*subject(evidence, columns)]]
    if evidence.get("available") is False:
        parts.append([] if reason_known else table([("evidence", nothing(evidence))], columns))
        parts += procfs(evidence, columns, style, whole=False)
    else:
        parts += [
            where_it_went(evidence, columns, style),
            table([*sections(evidence), ("timing", timing(evidence))], columns),
            *details(evidence, columns, style),
            verdict(evidence, style),
            failed_checks(evidence, style),
            table([("cost", cost(evidence))], columns),
        ]
    parts.append(fleet(evidence, columns, style))
    return fit("\n".join("\n".join(part) for part in parts if part) + "\n", screen)


def subject(evidence: Mapping[str, Any], columns: int) -> list[str]:
    """Return what was measured: a command that was run, or else the scope and the time."""
    if command := finished(evidence):
        return table(command, columns)
    scope = covered(mapping(evidence.get("scope")))
    return table([("measured", scope), ("time", when(evidence))], columns)


def where_it_went(evidence: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    lines = wall(evidence, columns)
    return titled(TITLE, lines, style) if lines else []


def sections(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and line of each section that was measured, or why it was not."""
    missing = mapping(evidence.get("unavailable"))
    lines = []
    for name, shown in SHOWN.items():
        content = evidence.get(name)
        if isinstance(content, dict):
            lines.append((shown.LABEL, shown.summary(content)))
        elif name in missing:
            lines.append((shown.LABEL, f"not measured: {printable(missing[name], 1000)}"))
    return lines


def nothing(evidence: Mapping[str, Any]) -> str:
    return f"none: {printable(evidence.get('reason'), 2000)}"


def failed_checks(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return the checks if one of them failed."""
    listed = evidence.get("checks")
    failed = isinstance(listed, list) and any(mapping(c).get("pass") is False for c in listed)
    return checks(evidence, style) if failed else []


def cost(evidence: Mapping[str, Any]) -> str:
    """Return in one line what the agent's own processes used; the hooks' cost is not in it."""
    overhead = mapping(evidence.get("overhead"))
    cpu, wall = number(overhead.get("agent_cpu_ms")), number(overhead.get("wall_ms"))
    if cpu is None:
        return ""
    used = f"{milliseconds(cpu)} of CPU in the agent, {percent(cpu, wall)} of one CPU"
    return f"{used}; {counted(overhead.get('events'), 'event')}"
