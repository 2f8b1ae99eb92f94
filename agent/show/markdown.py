"""A comparison as Markdown, for a pull request or a job's summary (GitHub's dialect, and others').

What comes from outside (commands, labels, names that tasks gave themselves) stands in code spans,
where nothing is a link, a mention or an image; in prose it is escaped.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.show.appeared import PLACES, item_of, rare_ones, shown_of
from agent.show.budget import TITLE, made_up_of, states, words_of
from agent.show.certain import DECIDED
from agent.show.comparison import about, result
from agent.show.differences import (
    COMPARED,
    difference,
    figure_cells,
    notes_on_figures,
    occurring,
    ranked,
    signs,
)
from agent.show.kept import banners, how_compared, labels, selected_apart, split
from agent.show.shift import HEADER, moved, notes_on_quantiles, row_of
from agent.show.sides import evidence_of, runs_of, time_of
from agent.terminal.evidence import LATENCIES
from agent.terminal.style import Style
from agent.terminal.values import command_line, mapping
from agent.terminal.values import rows as objects

SPECIAL = re.compile(r"([\\`*_\[\]<|~&$])")
"""What means something within a line, where no text from outside begins one (CommonMark 0.31, and
GitHub's tables, strikethrough and formulas)."""
LINKING = re.compile(r"(@|#|://|www)", re.IGNORECASE)
"""What GitHub makes a mention or a link of, escaped or not."""
UNLINKED = "&#8203;"
"""A zero-width space, which parts that."""


def markdown(document: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return the report, ending in a newline; with ``whole``, also what does not differ."""
    plan, comparison = mapping(document.get("series")), mapping(document.get("comparison"))
    compared = mapping(document.get("compared"))
    facts = [
        ("made up of", made_up_of(comparison)),
        *about(plan, comparison, compared),
        *how_compared(document),
    ]
    parts = [
        *(f"> **{escaped(line)}**" for line in banners(document)),
        escaped(split(document)),
        f"**{escaped(result(plan, comparison, Style(), compared))}**",
        table(("", *COMPARED), _sides(document)),
        "\n".join(f"* {name}: {escaped(text)}" for name, text in _joined(facts)),
        _budget(comparison),
        _figures(comparison, whole),
        _one_side_only(comparison, whole),
        *(_shift(name, comparison, whole) for name in LATENCIES),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def escaped(text: str) -> str:
    """Return text as prose that means nothing else."""
    safe = SPECIAL.sub(r"\\\1", text)
    return LINKING.sub(lambda found: f"{found[0][0]}{UNLINKED}{found[0][1:]}", safe)


def code(text: str) -> str:
    """Return text as a code span that nothing in it ends; nothing for nothing."""
    if not text:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def cell(text: str) -> str:
    """Return text as a code span in a table, where even there a bar ends the cell."""
    return code(text).replace("|", r"\|")


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table, the first column flush left, the others right; nothing without lines."""
    listed = [f"| {' | '.join(line)} |" for line in lines]
    if not listed:
        return ""
    rule = " | ".join([":---", *["---:"] * (len(header) - 1)])
    return "\n".join([f"| {' | '.join(header)} |", f"| {rule} |", *listed])


def _folded(title: str, body: Sequence[str]) -> str:
    """Return a part that is closed until it is asked for; nothing without a body."""
    shown = "\n\n".join(filter(None, body))
    return f"<details><summary>{title}</summary>\n\n{shown}\n\n</details>" if shown else ""


def _joined(facts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the facts that there are; one without a name goes on with the one before."""
    joined: list[tuple[str, str]] = []
    for name, text in facts:
        if text and not name and joined:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]}; {text}")
        elif text:
            joined.append((name, text))
    return joined


def _sides(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    sides = [mapping(mapping(document.get("sides")).get(name)) for name in COMPARED]
    commands = mapping(mapping(document.get("series")).get("commands"))
    lines = [
        ("command", *(cell(command_line(commands.get(name))) for name in COMPARED)),
        ("chosen by", *(cell(selected_apart(name, document)) for name in COMPARED)),
        ("labels", *(cell(labels(name, document)) for name in COMPARED)),
        ("runs", *(escaped(runs_of(side, {})) for side in sides)),
        ("time", *(escaped(time_of(side)) for side in sides)),
        ("evidence", *(escaped(evidence_of(side)) for side in sides)),
    ]
    return [line for line in lines if any(line[1:])]


def _budget(comparison: Mapping[str, Any]) -> str:
    rows = states(comparison)
    lines = [
        (
            escaped(words_of(row)),
            *(escaped(occurring(row, side)) for side in COMPARED),
            escaped(difference(row)),
        )
        for row in rows
    ]
    notes = "\n".join(f"* {escaped(sign)}" for sign in signs(rows, comparison))
    parts = [f"{TITLE}:", table(("", *COMPARED, "difference"), lines), notes]
    return "\n\n".join(filter(None, parts)) if rows else ""


def _figures(comparison: Mapping[str, Any], whole: bool) -> str:
    listed = objects(comparison.get("figures"))
    alike = [row for row in listed if row.get("outcome") not in DECIDED] if whole else []
    shown = [*ranked(comparison), *alike]
    rest = [] if whole else [row for row in listed if row.get("outcome") not in DECIDED]
    lines = [
        (cell(name), *map(escaped, others))
        for name, *others in (figure_cells(row) for row in shown)
    ]
    notes = [f"* {escaped(note)}" for note in notes_on_figures(comparison, shown, rest)]
    body = [table(("", *COMPARED, "difference", ""), lines), "\n".join(notes)]
    return _folded("Difference per run, medians", body)


def _one_side_only(comparison: Mapping[str, Any], whole: bool) -> str:
    lines = []
    for word, place in PLACES.items():
        shown, rare = shown_of(comparison, word, whole)
        items = [*(item_of(row, place) for row in shown), *rare_ones(rare, place)]
        lines += [f"* {word}: {', '.join(map(code, items))}"] if items else []
    return _folded("What only one of the two does", ["\n".join(lines)])


def _shift(name: str, comparison: Mapping[str, Any], whole: bool) -> str:
    rows = objects(mapping(comparison.get("shift")).get(name))
    shown = rows if whole else moved(rows)
    notes = [f"* {escaped(note)}" for note in notes_on_quantiles(shown, rows)]
    lines = [list(map(escaped, row_of(row))) for row in shown]
    body = [table(HEADER, lines), "\n".join(notes)]
    return _folded(f"{LATENCIES[name]}: quantiles, medians over runs", body)
