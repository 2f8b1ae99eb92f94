"""Terminal output for execs."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import Bar, chart
from agent.terminal.values import FEW, LONGEST_NAME, TOP, count, counted, mapping, number, printable
from agent.terminal.values import rows as objects

TITLE = "Execs: programs started"
LABEL = "execs"
BESIDE = {"attempts": "attempt", "forks": "fork", "exits": "exit"}


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show how many programs were started, the most frequent ones, and failures by error."""
    bars = []
    for row in objects(section.get("top_commands"))[:TOP]:
        times = number(row.get("count"))
        bars.append(Bar(printable(row.get("command"), LONGEST_NAME), times or 0, count(times)))
    if number(other := section.get("other")):
        bars.append(Bar("others", number(other) or 0, count(other)))
    line = counted(section.get("exec_count"), "exec")
    if failed := _failures(section):
        line += f"; failed: {failed}"
    return [line, *_beside(section), *chart(bars, width)]


def _beside(section: Mapping[str, Any]) -> list[str]:
    """Return what else is known: attempts, forks and exits."""
    known = [
        counted(section.get(name), noun)
        for name, noun in BESIDE.items()
        if number(section.get(name)) is not None
    ]
    if number(missed := section.get("failures_missed")):
        known.append(f"{counted(missed, 'attempt')} whose result is not known")
    return [", ".join(known)] if known else []


def _failures(section: Mapping[str, Any]) -> str:
    """Return the failed execs by error, the most frequent first, or an empty string."""
    failures = sorted(
        mapping(section.get("failures")).items(), key=lambda item: -(number(item[1]) or 0)
    )
    listed = (f"{count(n)} {printable(error, LONGEST_NAME)}" for error, n in failures[:TOP])
    return ", ".join(listed)


def summary(section: Mapping[str, Any]) -> str:
    """Return how many programs were started, most often which, and how many could not be."""
    commands = [
        f"{printable(row.get('command'), LONGEST_NAME)} {count(row.get('count'))}"
        for row in objects(section.get("top_commands"))[:FEW]
    ]
    line = count(section.get("exec_count")) + (f": {', '.join(commands)}" if commands else "")
    if number(section.get("forks")):
        line += f"; {counted(section.get('forks'), 'fork')}"
    failed = _failures(section)
    return f"{line}; failed: {failed}" if failed else line
