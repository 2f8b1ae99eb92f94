"""Validation of request bodies by tables of fields: a new field is a new row."""

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.errors import AgentError, InvalidRequest
from agent.model import (
    TIMINGS,
    TRANSPORT_CHOICES,
    Labels,
    Report,
    Scope,
    StartRequest,
)
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SCOPED_DETAILS, SECTIONS

MAX_LABEL_LENGTH = 256
"""Characters in a label. A commit or a SHA-256 in hex has at most 64; each label is repeated in
about sixty lines of every scrape."""

LARGEST_COUNT = 2**63 - 1
LARGEST_PID = 1 << 22
"""PID_MAX_LIMIT in include/linux/threads.h."""

FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs"})
"""Control characters (including newline and NUL) and lone surrogates, which UTF-8 cannot encode."""

MAX_IGNORED_NAMES = 20
LONGEST_QUOTED_NAME = 64

Parser = Callable[[str, object], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """How to parse one field. ``parse(name, value)`` raises `InvalidRequest` naming the field."""

    parse: Parser
    default: object = None
    required: bool = False


def label(name: str, value: object) -> str:
    """Parse a string of at most `MAX_LABEL_LENGTH` characters, none of `FORBIDDEN_CATEGORIES`."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string, not {json_type(value)}", field=name)
    if len(value) > MAX_LABEL_LENGTH:
        raise InvalidRequest(
            f"{name} has {len(value)} characters; the limit is {MAX_LABEL_LENGTH}", field=name
        )
    for position, character in enumerate(value):
        if unicodedata.category(character) in FORBIDDEN_CATEGORIES:
            raise InvalidRequest(
                f"{name} contains U+{ord(character):04X} at position {position}: "
                "control characters and lone surrogates are not allowed",
                field=name,
            )
    return value


def finite(name: str, value: object) -> float:
    """Parse a finite number. Python's ``True`` is an `int`, but ``true`` is refused."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequest(f"{name} must be a number, not {json_type(value)}", field=name)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} must be a finite number", field=name)
    return number


def milliseconds(name: str, value: object) -> float:
    """Parse a duration: finite and not negative."""
    number = finite(name, value)
    if number < 0:
        raise InvalidRequest(f"{name} must not be negative", field=name)
    return number


def count(name: str, value: object) -> int | None:
    """Parse a whole number from 0 to 2⁶³ - 1; ``null`` is the same as omitting it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name} must be a whole number, not {json_type(value)}", field=name)
    if not 0 <= value <= LARGEST_COUNT:
        raise InvalidRequest(f"{name} must be from 0 to {LARGEST_COUNT}", field=name)
    return value


def boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false, not {json_type(value)}", field=name)
    return value


def one_of(choices: Sequence[str]) -> Parser:
    """Return a parser for one of these strings; ``null`` is the same as omitting the field."""

    def parse(name: str, value: object) -> str | None:
        if value is not None and value not in choices:
            raise InvalidRequest(f"{name} must be one of {', '.join(choices)}", field=name)
        return None if value is None else str(value)

    return parse


def sections(name: str, value: object) -> tuple[str, ...]:
    """Parse a nonempty list of sections; return each once, in the registry's order."""
    chosen = value if isinstance(value, list) else []
    unknown = [item for item in chosen if item not in SECTIONS]
    if not chosen or unknown:
        raise InvalidRequest(f"{name} must list one or more of {', '.join(SECTIONS)}", field=name)
    return tuple(section for section in SECTIONS if section in chosen)


def details(name: str, value: object) -> tuple[str, ...]:
    """Parse a list of details, which may be empty; return each once."""
    if not isinstance(value, list) or [item for item in value if item not in tuple(DETAILS)]:
        raise InvalidRequest(f"{name} must be a list of any of {', '.join(DETAILS)}", field=name)
    return tuple(detail for detail in DETAILS if detail in value)


def scope(name: str, value: object) -> Scope:
    """Parse ``"system"``, ``"caller"``, ``{"pid": N}`` or ``{"cgroup": "/path"}``."""
    if value in ("system", "caller"):
        return Scope(str(value))
    if isinstance(value, dict) and len(value) == 1:
        kind, of = next(iter(value.items()))
        if kind == "pid" and type(of) is int and 0 < of <= LARGEST_PID:
            return Scope("pid", pid=of)
        if kind == "cgroup" and isinstance(of, str) and of.startswith("/"):
            return Scope("cgroup", cgroup=label(name, of))
    raise InvalidRequest(
        f'{name} must be "system", "caller", {{"pid": N}} or {{"cgroup": "/path"}}', field=name
    )


def label_or_null(name: str, value: object) -> str:
    """Parse a label; ``null`` is the same as omitting it."""
    return "" if value is None else label(name, value)


LABEL = Field(label_or_null, default="")
RUN_LABELS = ("scenario", "impl", "variant", "commit", "dataset")
REPORT_LABELS = ("impl", "variant", "commit", "dataset")

START_FIELDS: Mapping[str, Field] = {
    **dict.fromkeys(RUN_LABELS, LABEL),
    "sections": Field(sections, default=DEFAULT_SECTIONS),
    "scope": Field(scope, default=Scope()),
    "timing": Field(one_of(TIMINGS)),
    "transport": Field(one_of(TRANSPORT_CHOICES)),
    "measure_probes": Field(boolean, default=False),
    "details": Field(details, default=()),
}
"""Labels, and the other attributes of `StartRequest`, by name."""

REPORT_FIELDS: Mapping[str, Field] = {
    **dict.fromkeys(REPORT_LABELS, LABEL),
    "baseline_ms": Field(milliseconds, required=True),
    "optimized_ms": Field(milliseconds, required=True),
    "gain_pct": Field(finite, required=True),
    "baseline_success": Field(count),
    "optimized_success": Field(count),
}


def parse_start(body: Mapping[str, object]) -> StartRequest:
    """Parse a body of ``POST /start``. Raises `AgentError` (``invalid_field``) with the field."""
    values = _take(body, START_FIELDS)
    for detail in values["details"]:
        if DETAILS[detail] not in values["sections"]:
            text = f"{detail} is a detail of {DETAILS[detail]}, which is not in sections"
            raise InvalidRequest(text, field="details")
        if detail in SCOPED_DETAILS and values["scope"].kind == "system":
            text = f'{detail} needs a "scope" other than "system"'
            raise InvalidRequest(text, field="details")
    return StartRequest(labels=_labels(values, RUN_LABELS), **values)


def parse_report(body: Mapping[str, object]) -> Report:
    """Parse a body of ``POST /report``.

    Raises `AgentError` (``invalid_field``, ``missing_field``).
    """
    values = _take(body, REPORT_FIELDS)
    return Report(labels=_labels(values, REPORT_LABELS), **values)


def ignored(body: Mapping[str, object], fields: Mapping[str, Field]) -> list[str]:
    """Return the unknown names in ``body``, limited in number and length. Runners may send fields
    that this agent does not know; listing them helps to find a misspelled one."""
    unknown = sorted(name[:LONGEST_QUOTED_NAME] for name in body.keys() - fields.keys())
    return unknown[:MAX_IGNORED_NAMES]


def json_type(value: object) -> str:
    """Return the JSON name of the type of ``value``."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def _take(body: Mapping[str, object], fields: Mapping[str, Field]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in body:
            values[name] = field.parse(name, body[name])
        elif field.required:
            raise AgentError(f"{name} is missing", code="missing_field", field=name)
        else:
            values[name] = field.default
    return values


def _labels(values: dict[str, Any], names: tuple[str, ...]) -> Labels:
    return Labels(**{name: values.pop(name) for name in names})
