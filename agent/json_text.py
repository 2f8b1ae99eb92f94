"""JSON from outside: more is accepted than Python's parser accepts, and the errors are our own.

Standard library only.
"""

import codecs
import json
import math
from collections.abc import Mapping
from typing import Any

LONGEST_INTEGER = 300
"""Characters of an integer that is kept exact; a double can hold each of them approximately."""

LARGEST_WHOLE = 2.0**63
"""Beyond this a number with a fraction or an exponent stays a float."""

LONGEST_EXCERPT = 20


class NotJson(Exception):
    """The text says what is wrong, and completes a sentence: "the body is not JSON at line 1"."""


class TooLarge(float):
    """A number that no double can hold: infinite, and as text what was sent, abbreviated."""

    def __new__(cls, text: str) -> "TooLarge":
        number = super().__new__(cls, text)
        number.sent = text if len(text) <= LONGEST_EXCERPT else f"{text[:LONGEST_EXCERPT]}…"
        return number

    sent: str

    def __str__(self) -> str:
        return self.sent


def parse(data: bytes) -> object:
    """Return the value of a JSON text in UTF-8. Raises `NotJson`.

    A byte order mark is skipped (RFC 8259, section 8.1). JSON has one type of number: ``10.0`` and
    ``1e1`` are the integer 10. Numbers may have any length. NaN and infinities, which are not JSON,
    are accepted, so that whoever validates can name their place (`wrong_number`); so are numbers
    that are too large for a double (`TooLarge`).
    """
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
        return json.loads(text, parse_int=_integer, parse_float=_real)
    except UnicodeDecodeError as error:
        wrong = f"is not UTF-8 at byte {error.start} (0x{error.object[error.start]:02x})"
    except RecursionError:
        wrong = "is nested too deeply"
    except json.JSONDecodeError as error:
        found = error.doc[error.pos :][:LONGEST_EXCERPT]
        where = f"line {error.lineno}, column {error.colno}"
        wrong = f"is not JSON at {where}: {found!r}" if found.strip() else f"ends early, at {where}"
    raise NotJson(wrong)


def wrong_number(value: Mapping[str, object]) -> str | None:
    """Return what is wrong with a number of a parsed object, and where: one of those that no double
    holds. It completes a sentence as `NotJson` does; None if all are finite.
    """
    # not recursive: a parsed value may be nested more deeply than Python's functions
    left: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while left:
        place, item = left.pop()
        for name, inner in item.items() if isinstance(item, Mapping) else enumerate(item):
            if isinstance(inner, dict | list):
                left.append(((*place, _step(name)), inner))
            elif isinstance(inner, float) and not math.isfinite(inner):
                return _described(inner, "".join((*place, _step(name))).removeprefix("."))
    return None


def _described(number: float, place: str) -> str:
    if isinstance(number, TooLarge):
        return f"has a number that is too large: {place} is {number}, and the most is 1.8e308"
    return f"is not JSON: {place} is no finite number, as all are in JSON"


def _step(name: str | int) -> str:
    return f".{name}" if isinstance(name, str) else f"[{name}]"


def without_nan(value: object) -> object:
    """Return a value with None for NaN and infinities, of which JSON has none (RFC 8259)."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _real(text: str) -> int | float:
    number = _double(text)
    return int(number) if number.is_integer() and abs(number) <= LARGEST_WHOLE else number


def _integer(text: str) -> int | float:
    """Parse an integer; Python refuses those of more than 4,300 digits."""
    return int(text) if len(text) <= LONGEST_INTEGER else _double(text)


def _double(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else TooLarge(text)
