"""What a picture consists of: the drawing, what to know about it, and the numbers behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

LONGEST_TABLE = 100
"""Rows; a file with more has them all in the JSON."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first of each row names it. ``caption`` says what they are."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def shown(self) -> Sequence[Sequence[str]]:
        return self.rows[:LONGEST_TABLE]

    @property
    def further(self) -> int:
        return len(self.rows) - len(self.shown)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its name in the page, its title, and at least one table behind it."""

    name: str
    title: str
    svg: str
    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=list)
    """How to read it, and what is missing from it."""
