"""How many columns text takes in a terminal, and text made to fit into a number of them."""

import re
import unicodedata

SGR = re.compile(r"\x1b\[[0-9;]*m")
"""A change of color, which takes no column."""
ATOM = re.compile(rf"{SGR.pattern}|.", re.DOTALL)
WORD = re.compile(r"( *)([^ ]+)")
HANG = 2
"""How much further the rest of a folded line is indented."""


def cells(text: str) -> int:
    """Return the number of columns: two for a wide character, none for a combining one."""
    plain = SGR.sub("", text)
    return len(plain) if plain.isascii() else sum(map(_cells, plain))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def left(text: str, width: int) -> str:
    """Return the text flush left in ``width`` columns, or as it is if it takes more."""
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    return " " * (width - cells(text)) + text


def cut(text: str, width: int) -> str:
    """Return the text, shortened to ``width`` columns where it takes more."""
    return (
        text if cells(text) <= width else (_pieces(text, width - 1)[0] if width > 1 else "") + "…"
    )


def fit(text: str, columns: int) -> str:
    """Return the text with every line folded that takes more than ``columns``."""
    return "\n".join(part for line in text.split("\n") for part in folded(line, columns))


def folded(line: str, columns: int) -> list[str]:
    """Return a line, at spaces if possible, as lines of at most ``columns``.

    The rest is indented further than the beginning.
    """
    if cells(line) <= columns:
        return [line]
    indent = min(len(line) - len(line.lstrip(" ")), columns // 4)
    hang = " " * min(indent + HANG, columns // 2)
    lines, current = [], " " * indent
    for gap, word in WORD.findall(line.lstrip(" ")):
        for number, piece in enumerate(_pieces(word, columns - len(hang))):
            joined = current + ("" if number else gap) + piece
            if current.strip() and cells(joined) > columns:
                lines.append(current)
                joined = hang + piece
            current = joined
    return [*lines, current]


def _pieces(word: str, columns: int) -> list[str]:
    """Return a word in pieces of at most ``columns``, with no escape sequence broken."""
    pieces = [""]
    for atom in ATOM.findall(word):
        if cells(pieces[-1] + atom) > columns:
            pieces.append("")
        pieces[-1] += atom
    return pieces
