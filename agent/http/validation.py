"""Validation of request bodies by their declarations, with messages in our own words."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TypeVar, get_args

import msgspec
from msgspec import Meta

from agent.errors import AgentError, InvalidRequest
from agent.http.requests import A_PATH, A_STRING, MUST_BE, Declared
from agent.json_text import TooLarge
from agent.model import wrong_with_label, wrong_with_path

MAX_IGNORED_NAMES = 20
LONGEST_QUOTED = 64
LONGEST_LIST_QUOTED = 5
NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

WRONG_WITH = {A_STRING: wrong_with_label, A_PATH: wrong_with_path}
"""What looks at the characters of a string, by what the string must be."""

B = TypeVar("B", bound=Declared)


def parse(body: Mapping[str, object], declared: type[B]) -> B:
    """Return a body as its declaration has it; fields that this does not name are left out.

    Raises `AgentError` (``missing_field``, ``invalid_field``), with the field.
    """
    if refused := next((name for name in declared.refused if name in body), None):
        raise InvalidRequest(declared.refused[refused], field=refused)
    values = {}
    for field in _fields(declared):
        name, value = field.name, body.get(field.name)
        if value is None and name in body and (why := declared.not_null.get(name)):
            raise InvalidRequest(f"{name}{_wrong(value, field.type)}: {why}", field=name)
        if value is None and not field.required:
            continue
        if name not in body:
            raise AgentError(f"{name} is missing", code="missing_field", field=name)
        values[name] = _converted(name, value, field.type)
    return declared(**values)


def ignored(body: Mapping[str, object], declared: type[Declared]) -> list[str]:
    """Return the unknown names in ``body``, limited in number and length. Runners may send fields
    that this agent does not know; listing them helps to find a misspelled one."""
    unknown = sorted(
        _utf8(name[:LONGEST_QUOTED]) for name in body.keys() - declared.__struct_fields__
    )
    return unknown[:MAX_IGNORED_NAMES]


def shown(value: object) -> str:
    """Return a JSON value as people would write it; long and nested ones are abbreviated."""
    if isinstance(value, list):
        items = [_scalar(item) for item in value[:LONGEST_LIST_QUOTED]]
        return f"[{', '.join([*items, '…'] if len(value) > len(items) else items)}]"
    return "an object" if isinstance(value, dict) else _scalar(value)


@cache
def _fields(declared: type[Declared]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a declaration; kept, since they are found by looking at its types."""
    return msgspec.structs.fields(declared)


def _converted(name: str, value: object, declared: object) -> object:
    if wrong := _wrong(value, declared):
        raise InvalidRequest(f"{name}{wrong}", field=name)
    return msgspec.convert(value, declared)


def _wrong(value: object, declared: object) -> str | None:
    """Return what is wrong with a value, as what follows its name; None if nothing is."""
    inner = _inner(declared)
    if isinstance(value, dict) and inner:
        return _wrong_inside(value, inner)
    must_be = _must_be(declared)
    if isinstance(value, str) and must_be in WRONG_WITH:
        wrong = WRONG_WITH[must_be](value)
        return f" {wrong}" if wrong else None
    if _fits(value, declared):
        return None
    return f" must be {must_be}, not {shown(_culprit(value, declared))}"


def _wrong_inside(value: dict[str, object], declared: type[Declared]) -> str | None:
    """Return what is wrong with an object in a field: the first of its own fields, or a rule."""
    fields = msgspec.structs.fields(declared)
    for name in sorted(value.keys() - declared.__struct_fields__):
        known = " and ".join(field.name for field in fields)
        return f" has no field {shown(name)}, only {known}"
    for field in fields:
        given = value.get(field.name)
        if given is not None and (wrong := _wrong(given, field.type)):
            return f".{field.name}{wrong}"
    return None if _fits(value, declared) else f" {declared.broken_rule(value)}"


def _fits(value: object, declared: object) -> bool:
    try:
        msgspec.convert(value, declared)
    except msgspec.ValidationError:
        return False
    return True


def _culprit(value: object, declared: object) -> object:
    """Return the first item of a list that does not fit, in a list; any other value as it is."""
    if isinstance(value, list):
        return next(([item] for item in value if not _fits([item], declared)), value)
    return value


def _inner(declared: object) -> type[Declared] | None:
    """Return the object that a field may hold, if it may hold one."""
    parts = (declared, *get_args(declared), *(a for p in get_args(declared) for a in get_args(p)))
    return next((p for p in parts if isinstance(p, type) and issubclass(p, Declared)), None)


def _must_be(declared: object) -> str:
    """Return the words in a type's annotations, the outermost ones."""
    return next(_words(declared))


def _words(declared: object) -> Iterator[str]:
    inner, *others = get_args(declared) or (None,)
    for part in (*others, inner):
        if isinstance(part, Meta):
            yield from [part.extra[MUST_BE]] if part.extra else []
        elif part is not None:
            yield from _words(part)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        quoted = _utf8(value[:LONGEST_QUOTED])
        return f'"{quoted}…"' if len(value) > LONGEST_QUOTED else f'"{quoted}"'
    if isinstance(value, TooLarge):
        return f"{value} (too large)"
    if isinstance(value, int | float):
        text = NOT_FINITE.get(str(value), str(value))
        return f"{text[:LONGEST_QUOTED]}…" if len(text) > LONGEST_QUOTED else text
    return "null" if value is None else "…"


def _utf8(text: str) -> str:
    """Replace lone surrogates, which no answer may have."""
    return text.encode("utf-8", "replace").decode("utf-8")
