"""Evidence as text for people. Pure: a JSON object in, a string out.

Evidence read from a file may come from any source and any version of the agent. Every field may be
absent, null or of another type; unknown fields are shown by ``everything`` only; all is escaped
before it reaches the terminal. The important comes first.
"""

from collections.abc import Mapping
from typing import Any

from agent.sections.shown import SHOWN, SHOWN_DETAILS
from agent.show.everything import fields
from agent.show.finished import finished
from agent.show.fleet import fleet
from agent.show.header import header
from agent.show.layout import MARGIN, screen_columns, table, titled
from agent.show.missing import missing
from agent.show.procfs import procfs
from agent.show.series import is_series, series
from agent.show.trust import checks, cost, events, hooks, verdict
from agent.show.wall import TITLE, held, wall
from agent.terminal.charts import wrapped
from agent.terminal.evidence import NEITHER_SECTION_NOR_DETAIL
from agent.terminal.style import Style
from agent.terminal.values import mapping, milliseconds, number, printable
from agent.terminal.width import fit

OF_STOPPED = "offcpu"
"""The section that says how long tasks were stopped."""


def render(
    evidence: Mapping[str, Any],
    status: Mapping[str, Any] | None = None,
    width: int = 80,
    color: bool = False,
    everything: bool = False,
) -> str:
    """Return the whole report, no line wider than ``width`` columns, ending in a newline.

    With ``everything``, each field and row of the evidence follows as it is.
    """
    style = Style(color)
    screen = screen_columns(width)
    columns = screen - len(MARGIN)
    if is_series(evidence):
        return series(evidence, screen, style, whole=True, everything=everything)
    parts = [header(evidence, mapping(status), columns, style)]
    if command := finished(evidence):
        parts.append(titled("Command", table(command, columns), style))
    if lines := wall(evidence, columns):
        parts.append(titled(TITLE, lines, style))
    parts.append(verdict(evidence, style))
    if evidence.get("available") is False:
        parts += [unavailable(evidence, style), *procfs(evidence, columns, style)]
    else:
        parts += [section(evidence, name, columns, style) for name in listed(evidence)]
        parts += details(evidence, columns, style)
    parts += [
        fleet(evidence, columns, style),
        missing(evidence, mapping(status)),
        checks(evidence, style),
        events(evidence, columns, style),
        cost(evidence, columns, style),
        hooks(evidence, columns, style),
    ]
    if everything:
        parts.append(titled("Everything in the file", fields(evidence, columns), style))
    return fit("\n\n".join("\n".join(part) for part in parts if part) + "\n", screen)


def unavailable(evidence: Mapping[str, Any], style: Style) -> list[str]:
    """Return that nothing was measured, and why, unless the verdict has just said it."""
    reason = evidence.get("reason")
    said = ["it gives no reason" if reason is None else printable(reason, 4000)]
    reasons = mapping(evidence.get("completeness")).get("reasons")
    if isinstance(reasons, list) and f"{evidence.get('code')}: {reason}" in reasons:
        said = []
    return titled("Nothing was measured", [style.bad("available: false"), *said], style)


def listed(evidence: Mapping[str, Any]) -> list[str]:
    """Return the sections that were measured or that the evidence gives a reason for missing."""
    mentioned = {*evidence, *mapping(evidence.get("unavailable"))}
    return [name for name in SHOWN if name in mentioned]


def section(evidence: Mapping[str, Any], name: str, columns: int, style: Style) -> list[str]:
    """Return one section, or the reason why it is missing."""
    shown, content = SHOWN[name], evidence.get(name)
    if isinstance(content, dict):
        lines = [*shown.lines(content, columns), *_held(evidence, name, columns)]
        return titled(shown.TITLE, lines, style)
    if name in evidence:
        return titled(shown.TITLE, [style.warning("malformed in this evidence")], style)
    why = mapping(evidence.get("unavailable")).get(name)
    return titled(shown.TITLE, [_not_measured(why, style)], style)


def _held(evidence: Mapping[str, Any], name: str, columns: int) -> list[str]:
    """Return how much of the time that tasks were stopped is of `run`, which held its command."""
    first, before_ms = held(evidence)
    stopped_ms = number(first.get("stopped_ms")) if name == OF_STOPPED else None
    held_ms = min(stopped_ms or 0.0, before_ms)
    if not held_ms:
        return []
    ms = milliseconds(held_ms)
    said = f"of the stopped time, {ms} was run holding the command before its exec"
    return wrapped(said.split(" "), columns, " ")


def details(evidence: Mapping[str, Any], columns: int, style: Style) -> list[list[str]]:
    """Return the details that stand next to the sections, those that could not be measured, and
    what else limits all of it."""
    parts = [
        titled(title, lines_of(content, columns), style)
        for name, (title, lines_of) in SHOWN_DETAILS.items()
        if (content := mapping(evidence.get(name)))
    ]
    others = {
        name: why for name, why in mapping(evidence.get("unavailable")).items() if name not in SHOWN
    }
    lacking = [
        f"{printable(name, 40)}: {_not_measured(why, style)}"
        for name, why in others.items()
        if name not in NEITHER_SECTION_NOR_DETAIL
    ]
    limits = [
        f"{style.warning(words)}: {printable(others[name], 1000)}"
        for name, words in NEITHER_SECTION_NOR_DETAIL.items()
        if name in others
    ]
    for title, lines in (("Details", lacking), ("Limits of this run", limits)):
        parts += [titled(title, lines, style)] if lines else []
    return parts


def _not_measured(why: object, style: Style) -> str:
    return style.warning("not measured: ") + printable(why, 1000)
