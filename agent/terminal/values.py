"""Values from evidence, made safe to print: any of them may be null, absent or hostile."""

import shlex
from collections.abc import Mapping
from typing import Any

from agent.nouns import agreeing

ABSENT = "–"
LONGEST_NAME = 24
"""Maximum number of characters shown of a name."""
TOP = 10
"""Maximum number of rows shown of a table."""
FEW = 5
"""Maximum number of items shown in a line."""
LARGEST = 1e100
"""In whatever unit. No measurement is larger, and what is computed from two such numbers (a sum, a
product, another unit) is finite: infinity cannot be rounded, and is no figure."""


def number(value: object) -> float | None:
    """Return the value if it is a number that can be a measurement, else None.

    None stands for null, text, a boolean, NaN, and for what is beyond `LARGEST`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST <= value <= LARGEST else None


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a list, or an empty list if the value is not a list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def encodable(value: object) -> str:
    """Return text that UTF-8 can encode: of lone surrogates, their escapes; else an empty one."""
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(value: object, limit: int = 200) -> str:
    """Return the value as text that contains nothing a terminal would interpret.

    Of a longer text than ``limit`` characters, the beginning, ending in an ellipsis.

    A task can choose any name for itself. Control bytes, bidirectional overrides and lone
    surrogates are shown as escapes.
    """
    text = ABSENT if value is None else str(value)
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def command_line(words: object) -> str:
    """Return a command as a shell takes it, printable; empty if it is not known."""
    return printable(shlex.join(map(str, words))) if isinstance(words, list) else ""


def count(value: object) -> str:
    """Return a count with thousands separators: ``1,234,567``."""
    amount = number(value)
    return ABSENT if amount is None else f"{amount:,.0f}"


def counted(value: object, one: str) -> str:
    """Return a count with what is counted: ``1 exec``, ``2 execs``, ``2 flushes``."""
    return agreeing(count(value), one)


def duration(microseconds: object) -> str:
    """Return a time given in µs, in the most readable unit: ``1.25 ms``."""
    us = number(microseconds)
    if us is None:
        return ABSENT
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1.0)):
        if abs(us) >= size:
            return f"{significant(us / size)} {unit}"
    return "0 µs" if us == 0 else f"{significant(us * 1000)} ns"


def milliseconds(value: object) -> str:
    """Return a time given in ms, in the most readable unit."""
    ms = number(value)
    return ABSENT if ms is None else duration(ms * 1000)


def nanoseconds(value: object) -> str:
    """Return a time given in ns, in the most readable unit."""
    ns = number(value)
    return ABSENT if ns is None else duration(ns / 1000)


def time_text(seconds: float) -> str:
    """Return a time for people: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def significant(value: float) -> str:
    """Return three digits, without scientific notation: ``1.25``, ``12.5``, ``125``, ``12,500``."""
    magnitude = abs(value)
    decimals = 2 if magnitude < 10 else 1 if magnitude < 100 else 0
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if decimals else text
    return "0" if text == "-0" else text


def size(value: object) -> str:
    """Return a number of bytes, in the most readable unit: ``1.5 MiB``."""
    amount = number(value)
    if amount is None:
        return ABSENT
    for unit, bytes_ in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(amount) >= bytes_:
            return f"{significant(amount / bytes_)} {unit}"
    return f"{significant(amount)} B"


def percent(part: object, whole: object) -> str:
    """Return ``part`` as a percentage of ``whole``, or `ABSENT` without a positive whole."""
    share, total = number(part), number(whole)
    if share is None or not total or total < 0:
        return ABSENT
    # of a total close to 0 it may be infinite
    pct = number(100 * share / total)
    return ABSENT if pct is None else f"{significant(pct)} %"
