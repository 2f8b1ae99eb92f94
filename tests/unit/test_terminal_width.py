from hypothesis import given
from hypothesis import strategies as st

from agent.terminal.charts import Bar, chart, grid
from agent.terminal.width import cells, cut, fit, folded, left, right

PRINTABLE = st.characters(categories=["L", "N", "P", "S"]) | st.just(" ")


def test_wide_characters_take_two_columns_and_colors_none() -> None:
    assert cells("abc") == 3
    assert cells("名前") == 4
    assert cells("e\u0301") == 1
    assert cells("\x1b[31mred\x1b[0m") == 3
    assert left("名", 4) + "|" == "名  |"
    assert right("名", 4) == "  名"


def test_a_folded_line_is_indented_and_keeps_its_words() -> None:
    assert folded("  failed: one two three four", 16) == [
        "  failed: one",
        "    two three",
        "    four",
    ]
    assert folded("short", 16) == ["short"]


def test_gaps_within_a_line_stay() -> None:
    assert folded("scope     process 24 (a)", 20) == ["scope     process 24", "  (a)"]


def test_a_word_that_is_too_long_is_broken() -> None:
    assert folded("  " + "x" * 20, 12) == ["  " + "x" * 8, "    " + "x" * 8, "    xxxx"]


def test_colors_survive_folding() -> None:
    text = fit("\x1b[31m" + "x" * 30 + "\x1b[0m", 12)
    assert text.startswith("\x1b[31mx")
    assert text.endswith("x\x1b[0m")
    assert text.count("\x1b") == 2


@given(st.text(PRINTABLE, max_size=200), st.integers(12, 100))
def test_no_folded_line_is_too_wide_and_nothing_is_lost(text: str, columns: int) -> None:
    lines = folded(text, columns)
    assert max(map(cells, lines)) <= columns
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(PRINTABLE, max_size=50), st.integers(1, 60))
def test_a_cut_text_fits(text: str, width: int) -> None:
    assert cells(cut(text, width)) <= width
    assert cut(text, 200) == text


def test_without_room_bars_go_first_and_then_the_ends_of_labels() -> None:
    bars = [Bar("clock_nanosleep", 4, "998 ms"), Bar("futex", 20, "10 s")]
    assert chart(bars, 25) == ["clock_nanosleep  998 ms", "          futex    10 s"]
    assert chart(bars, 16) == ["clock_n…  998 ms", "   futex    10 s"]


def test_a_table_without_room_loses_its_last_columns() -> None:
    rows = [("name", "count", "in all"), ("名前", "5", "10 s")]
    assert grid(rows, 40) == ["name  count  in all", "名前      5    10 s"]
    assert grid(rows, 15) == ["name  count", "名前      5"]
