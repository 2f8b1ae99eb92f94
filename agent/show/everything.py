"""Every field of a document, in its order: what ``show --all`` adds to the report."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.terminal.charts import grid
from agent.terminal.values import printable
from agent.terminal.width import cells

INDENT = "  "
LONGEST_VALUE = 4000
LONGEST_WORD = 60
"""Longer strings without a space, such as an encoded histogram, are shortened."""
DEEPEST = 30


def fields(value: object, columns: int, depth: int = 0) -> Iterator[str]:
    """Yield lines for everything in an object or an array, nested parts indented.

    Rows of the same fields are a table where that fits into ``columns``.
    """
    if depth > DEEPEST:
        yield "nested too deeply to be shown"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _field(printable(name), item, columns, depth)
    elif isinstance(value, list):
        yield from _items(value, columns, depth)


def _field(name: str, value: object, columns: int, depth: int) -> Iterator[str]:
    if _is_plain(value):
        yield f"{name}  {_plain(value)}"
        return
    yield name
    for line in fields(value, columns - len(INDENT), depth + 1):
        yield INDENT + line


def _items(items: list[Any], columns: int, depth: int) -> Iterator[str]:
    table = _table(items)
    if table and cells(table[0]) <= columns:
        yield from table
        return
    for item in items:
        if _is_plain(item):
            yield f"- {_plain(item)}"
            continue
        lines = fields(item, columns - len(INDENT), depth + 1)
        yield f"- {next(lines, '')}"
        for line in lines:
            yield INDENT + line


def _table(items: list[Any]) -> list[str]:
    """Return rows as a table, or nothing if they are not all objects of the same plain fields."""
    if not all(isinstance(item, dict) for item in items):
        return []
    rows: list[Mapping[str, Any]] = items
    names = list(rows[0]) if rows else []
    alike = all(list(row) == names and all(map(_is_plain, row.values())) for row in rows)
    if not (names and alike):
        return []
    shown = [tuple(_plain(row[name]) for name in names) for row in rows]
    # no width limits the table: a column that is left out would not be everything
    return grid([tuple(map(printable, names)), *shown], 10**9)


def _is_plain(value: object) -> bool:
    return _are_numbers(value) or not (isinstance(value, dict | list) and value)


def _are_numbers(value: object) -> bool:
    """Return whether a value is a list of numbers, which fills a line rather than many."""
    return isinstance(value, list) and bool(value) and all(type(n) in (int, float) for n in value)


def _plain(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list) and _are_numbers(value):
        value = " ".join(map(str, value))
    if isinstance(value, dict | list):
        return "none"
    text = printable(value, LONGEST_VALUE)
    if " " not in text and len(text) > LONGEST_WORD:
        return f"{text[:LONGEST_WORD]}… ({len(str(value)):,} characters)"
    return text or '""'
