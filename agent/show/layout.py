"""How the parts of the report are laid out."""

from collections.abc import Iterable

from agent.terminal.charts import wrapped
from agent.terminal.style import Style
from agent.terminal.values import printable
from agent.terminal.width import fit

NARROWEST, WIDEST = 20, 120
"""Columns of a screen that reports are made for."""
MARGIN = "  "
LABELS = 10
"""Columns of a label that its value stands next to."""
NAMES = 16
"""Columns of a name that items stand next to."""
NARROW = 50
"""With fewer columns, items and values stand behind their name rather than in a column next to
it."""


def screen_columns(width: int) -> int:
    """Return how many columns of a screen or file of ``width`` a report uses."""
    return min(max(width, NARROWEST), WIDEST)


def row(label: str, text: str, width: int) -> str:
    """Return a row of a brief report by itself, folded as there, ending in a newline."""
    screen = screen_columns(width)
    return fit("\n".join(table([(label, text)], screen - len(MARGIN))) + "\n", screen)


def titled(title: str, lines: Iterable[str], style: Style) -> list[str]:
    return [style.heading(title), *(MARGIN + line for line in lines)]


def table(pairs: Iterable[tuple[str, str]], columns: int) -> list[str]:
    """Return two columns, the values wrapped within theirs, without rows that have no value.

    On a narrow screen each row is one line, for `fit` to fold.
    """
    lines: list[str] = []
    for name, value in pairs:
        if value and columns < NARROW:
            lines.append(f"{name:<{LABELS}}{value}")
        elif value:
            first, *rest = wrapped(value.split(" "), columns - LABELS, " ")
            lines += [f"{name:<{LABELS}}{first}", *(" " * LABELS + line for line in rest)]
    return lines


def named(name: str, items: list[str], columns: int) -> list[str]:
    """Return the items next to their name, wrapped over as many lines as necessary."""
    if columns < NARROW:
        return [f"{printable(name, NAMES - 1)}: {', '.join(items)}"]
    first, *rest = wrapped(items, columns - NAMES, ", ")
    beginning = f"{printable(name, NAMES - 1):<{NAMES}}{first}"
    return [beginning, *(" " * NAMES + line for line in rest)]
