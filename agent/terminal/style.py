"""Emphasis in ANSI colors, or none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Text styles. Without color, they return the text unchanged."""

    color: bool = False

    def _sgr(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text

    def heading(self, text: str) -> str:
        return self._sgr("1", text)

    def good(self, text: str) -> str:
        return self._sgr("32", text)

    def warning(self, text: str) -> str:
        return self._sgr("33", text)

    def bad(self, text: str) -> str:
        return self._sgr("31", text)
