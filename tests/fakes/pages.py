"""The documents as tests read them: names stand in backticks in the first column of a table."""

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]

Row = list[str]


def rows(page: Path, heading: str) -> list[Row]:
    """The cells of every table between a heading and the next one, less the tables' heads."""
    lines = iter(page.read_text().splitlines())
    assert any(line.lstrip("# ") == heading and line.startswith("#") for line in lines), (
        f"{page.name} has no heading {heading!r}"
    )
    found: list[Row] = []
    for line in lines:
        if line.startswith("#"):
            break
        if re.match(r"\| ?-", line):
            found.pop()
        elif line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append([cell.strip() for cell in cells])
    assert found, f"{page.name} has no table under {heading!r}"
    return found


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def names(page: Path, heading: str) -> list[str]:
    """What the table is about: the first column. Each stands there once."""
    found = [name for row in rows(page, heading) for name in quoted(row[0])]
    assert len(found) == len(set(found)), f"{page.name}, {heading}: a name stands there twice"
    return found


def hold(page: Path, heading: str, in_code: Iterable[str], documented: Iterable[str]) -> None:
    """Both say the same; if not, say what is missing where."""
    code, docs = set(in_code), set(documented)
    where = f"{page.relative_to(ROOT)}, {heading!r}"
    assert not code - docs, f"{where}: not documented: {sorted(code - docs)}"
    assert not docs - code, (
        f"{where}: documented, but there is no such thing: {sorted(docs - code)}"
    )


def anchors(page: Path) -> set[str]:
    """As code hosts make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
