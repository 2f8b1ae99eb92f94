"""Which runs are meant: by label, verdict, time, series and the beginning of an id."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.store.errors import StoreError
from agent.store.run import LABELS
from agent.words import wrong_with_text

NOTHING: Mapping[str, str] = MappingProxyType({})
FIELDS = (*LABELS, "verdict", "state", "source", "side", "series")
"""What a selector can name."""
LAST = re.compile(r"last(?:~([0-9]{1,6}))?", re.ASCII)
"""The newest entry, or the one this many before it, as git counts (gitrevisions(7))."""
FEWEST = 4
"""Characters of the beginning of an id that may stand for it."""
NEXT = re.compile(r",(?=[a-z]+=)")
"""A comma between two fields; a value may contain others."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Runs that have all of this. Times are in seconds since 1970, ``until`` excluded.

    ``fields`` are values of `FIELDS`. ``owner`` is a user who sees no runs of others. ``before`` is
    (`Summary.at`, `Summary.number`) of the last run of the page before this one, and ``limit`` the
    most runs of a page.
    """

    fields: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    since: float | None = None
    until: float | None = None
    id_prefix: str = ""
    owner: int | None = None
    copies: bool = True
    before: tuple[float, int] | None = None
    limit: int | None = None

    def sql(self) -> tuple[str, list[object]]:
        """Return a condition on rows of ``runs`` joined with ``series``, and its values."""
        known: list[tuple[str, list[object]]] = [
            (f"{_column(name)} = ?", [value]) for name, value in self.fields.items()
        ]
        if self.since is not None:
            known.append(("runs.at >= ?", [self.since]))
        if self.until is not None:
            known.append(("runs.at < ?", [self.until]))
        if self.id_prefix:
            known.append(("substr(runs.id, 1, ?) = ?", [len(self.id_prefix), self.id_prefix]))
        if self.owner is not None:
            known.append(("runs.owner = ?", [self.owner]))
        if not self.copies:
            known.append(("NOT runs.copied", []))
        if self.before is not None:
            known.append(("(runs.at, runs.number) < (?, ?)", list(self.before)))
        conditions = " AND ".join(condition for condition, _ in known)
        return conditions or "1", [value for _, values in known for value in values]


def is_selector(text: str) -> bool:
    """Return whether a text is meant as a selector: it begins with a name and ``=``."""
    return re.match(r"[a-z]+=", text) is not None


def fields_of(text: str) -> dict[str, str]:
    """Return the fields of a selector: ``commit=abc,variant=numpy``. Raises `StoreError`."""
    fields: dict[str, str] = {}
    for part in NEXT.split(text):
        name, equals, value = part.partition("=")
        if not equals or name not in FIELDS:
            raise StoreError(f"a selector is NAME=VALUE,...; the names are {', '.join(FIELDS)}")
        if wrong := wrong_with_text(value, longest=len(value)):
            raise StoreError(f"{name} {wrong}")
        if fields.setdefault(name, value) != value:
            raise StoreError(f"{name} is given twice")
    return fields


def _column(name: str) -> str:
    return "series.id" if name == "series" else f'runs."{name}"'
