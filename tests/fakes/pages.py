"""The documentation as tests read it: names in backticks in the first column of a table."""

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BENCHMARKS = ROOT / "benchmarks"

Row = list[str]


def rows(page: Path, heading: str) -> list[Row]:
    """Return the cells of all tables from a heading to the next one, without the header rows."""
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
    """Return the names in a table's first column; fail if one occurs twice."""
    found = [name for row in rows(page, heading) for name in quoted(row[0])]
    assert len(found) == len(set(found)), f"{page.name}, {heading}: a name occurs twice"
    return found


def hold(page: Path, heading: str, in_code: Iterable[str], documented: Iterable[str]) -> None:
    """Assert that code and documentation list the same names; report those that one lacks."""
    code, docs = set(in_code), set(documented)
    where = f"{page.relative_to(ROOT)}, {heading!r}"
    assert not code - docs, f"{where}: not documented: {sorted(code - docs)}"
    assert not docs - code, f"{where}: documented, but not in the code: {sorted(docs - code)}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that code hosts generate for a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def snippets(page: Path, language: str) -> list[str]:
    """Return the blocks of code of a page that are marked as being in a language."""
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, page.read_text(), re.DOTALL | re.MULTILINE)
