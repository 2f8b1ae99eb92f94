"""A comparison as Markdown: what comes from outside stays text."""

import shlex
from typing import Any

import pytest
from fakes.comparisons import compared, groups
from fakes.series_documents import JSON
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent.show.markdown import cell, code, escaped, markdown
from agent.terminal.values import printable

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = {"<details>", "</details>", "<summary>", "</summary>"}


def tokens(text: str) -> list[Token]:
    found = PARSER.parse(text)
    return [*found, *(child for token in found for child in token.children or [])]


def kinds(text: str) -> set[str]:
    return {token.type for token in tokens(text)}


def test_the_result_comes_first() -> None:
    text = markdown(compared())
    assert text.startswith("**optimized takes 5.9 % less time (95 % interval 5.4 – 6.4 %, p=0.002")
    assert "| command | `./old` | `./new` |" in text
    assert "| chosen by | `commit=abc` | `commit=def` |" in text
    assert "* result: conclusive\n" in text
    less_certain = "less certain, by its own interval: +3.000 ms computing"
    assert f"* made up of: -25.00 ms blocked in fsync; {less_certain}\n" in text
    assert "| blocked | 60.00 ms | 35.00 ms | -25.00 ms |" in text
    assert "| `blocked: fsync` | 30.00 ms | 5.000 ms | -25.00 ms | p=0.008 n=10 |" in text


def test_noise_is_counted_and_shown_on_request() -> None:
    assert "blocked: read" not in markdown(compared())
    assert "further figure" in markdown(compared())
    assert "| `blocked: read` |" in markdown(compared(), whole=True)


@pytest.mark.parametrize("document", [compared(), groups()])
def test_it_is_tables_and_folded_parts(document: dict[str, Any]) -> None:
    text = markdown(document)
    found = kinds(text)
    assert {"table_open", "strong_open", "bullet_list_open", "html_block"} <= found
    assert text.count("<details>") == text.count("</details>") > 0
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| blocked")}
    assert widths == {3}


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "[x](https://elsewhere.example)",
    "![x](https://elsewhere.example/x.png)",
    "@someone #1 https://elsewhere.example www.elsewhere.example",
    "`code` ``more``",
    "a|b|c",
    "~~gone~~ **bold** _soft_ $x$",
    "</details>",
    "&amp; &#64;",
    "x\n\n# heading\n\n* item",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(text: str) -> None:
    document = compared(inconclusive_because=[text], conclusive=False)
    document["series"]["commands"] = {"baseline": [text], "optimized": [text]}
    document["comparison"]["figures"][1] |= {"name": text}
    document["comparison"]["appeared"][0] |= {"name": text}
    document["compared"] |= {
        "selected": {"baseline": text, "optimized": text},
        "labels": {"baseline": {"commit": [text]}},
        "refused": [{"why": text}],
        "notes": [text],
    }
    written = markdown(document)
    found = tokens(written)
    forbidden = {"link_open", "image", "html_inline", "heading_open", "s_open", "em_open"}
    assert not forbidden & {token.type for token in found}
    spans = [token.content for token in found if token.type == "code_inline"]
    assert printable(shlex.quote(text)) in spans, "the command"
    blocks = [token.content for token in found if token.type == "html_block"]
    tags = {piece for block in blocks for piece in block.split() if piece.startswith("<")}
    assert all(tag.startswith(("<details><summary>", "</details>")) for tag in tags)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_a_code_span_is_ended_by_nothing_in_it(text: str) -> None:
    [inline] = [token for token in PARSER.parse(code(text)) if token.type == "inline"]
    [span] = inline.children or []
    assert (span.type, span.content) == ("code_inline", text)
    row = PARSER.parse(f"| a | b |\n| - | - |\n| {cell(text)} | x |")
    cells = [token for token in row if token.type == "inline"]
    assert len(cells) == 4
    assert [child.content for child in cells[2].children or []] == [text]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    [inline] = [token for token in PARSER.parse(f"x {escaped(text)} x") if token.type == "inline"]
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    shown = "".join(child.content for child in inline.children or [])
    assert shown.replace("\u200b", "") == f"x {text} x"


def test_nobody_is_mentioned_and_nothing_linked() -> None:
    assert escaped("@you") == "@&#8203;you"
    assert escaped("#12") == "#&#8203;12"
    assert "://" not in escaped("https://elsewhere.example")
    assert "www." not in escaped("WWW.elsewhere.example").lower()


@settings(max_examples=60)
@given(JSON)
def test_any_document_can_be_written(value: Any) -> None:
    for name in ("compared", "comparison", "sides", "series"):
        text = markdown(compared() | {name: value}, whole=True)
        assert all(c.isprintable() or c == "\n" for c in text)
