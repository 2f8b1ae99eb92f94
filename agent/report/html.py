"""Elements of a page as text; whatever comes from outside is escaped here."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from agent.report.picture import Picture, Table
from agent.terminal.values import printable

LONGEST_TEXT = 2000
LONGEST_LINE = 40
"""Of a cell; a longer one is folded."""
NUMERIC = re.compile(r"(?:≥ |[-+~(?])?[\d.,]+.*|–|none")
"""Cells that are set flush right."""


def text(value: object, limit: int = LONGEST_TEXT) -> str:
    """Return what may stand between tags and in an attribute, without control characters."""
    return escape(printable(value, limit))


def element(tag: str, content: str, **attributes: str) -> str:
    """Return an element around HTML; ``class_`` is the attribute ``class``."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{given}>{content}</{tag}>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values; a value without a name goes on from the last one."""
    items: list[tuple[str, list[str]]] = []
    for name, value in pairs:
        if value and name:
            items.append((name, [value]))
        elif value and items:
            items[-1][1].append(value)
    listed = "".join(
        element("dt", text(name)) + "".join(element("dd", text(value)) for value in values)
        for name, values in items
    )
    return element("dl", listed) if listed else ""


def table(shown: Table) -> str:
    """Return a table that scrolls by itself where the page is narrow."""
    head = "".join(element("th", text(name), scope="col") for name in shown.header)
    body = "".join(_row(row) for row in shown.rows[: len(shown.shown)])
    whole = element(
        "table",
        element("caption", text(shown.caption))
        + element("thead", element("tr", head))
        + element("tbody", body),
    )
    further = (
        element("p", f"{shown.further:,} further rows are not shown.", class_="note")
        if shown.further
        else ""
    )
    region = element(
        "div", whole, class_="table", role="region", tabindex="0", aria_label=shown.caption
    )
    return region + further


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    others = "".join(
        element("td", text(cell), class_="number") if NUMERIC.fullmatch(cell) else _words(cell)
        for cell in rest
    )
    return element("tr", element("th", text(first), scope="row") + others)


def _words(cell: str) -> str:
    return element("td", text(cell), **({"class_": "long"} if len(cell) > LONGEST_LINE else {}))


def figure(picture: Picture) -> str:
    """Return a picture under its title, with its notes and the tables behind it."""
    notes = "".join(element("p", text(note), class_="note") for note in picture.notes)
    tables = "".join(table(one) for one in picture.tables)
    behind = element("details", element("summary", "The numbers") + tables)
    return element(
        "figure",
        element("h3", text(picture.title)) + picture.svg + element("figcaption", notes) + behind,
        id=f"{picture.name}-figure",
    )


def section(title: str, content: str) -> str:
    """Return a part of the page, or nothing if it has no content."""
    return element("section", element("h2", text(title)) + content) if content else ""
