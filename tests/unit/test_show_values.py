import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.terminal import values


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 µs"),
        (0.412, "412 ns"),
        (1, "1 µs"),
        (45.04, "45 µs"),
        (999.4, "999 µs"),
        (1024, "1.02 ms"),
        (680_000, "680 ms"),
        (1_250_000, "1.25 s"),
        (10_000_000_000, "10,000 s"),
        (-3, "-3 µs"),
        (None, values.ABSENT),
        ("45", values.ABSENT),
        (math.nan, values.ABSENT),
        (True, values.ABSENT),
        (10**400, values.ABSENT),
        (1e308, values.ABSENT),
    ],
)
def test_a_duration_has_the_unit_a_person_would_choose(us: object, text: str) -> None:
    assert values.duration(us) == text


def test_milliseconds_are_durations() -> None:
    assert values.milliseconds(1250.0) == "1.25 s"
    assert values.milliseconds(None) == values.ABSENT


def test_nanoseconds_are_durations() -> None:
    assert values.nanoseconds(1_250_000) == "1.25 ms"
    assert values.nanoseconds(None) == values.ABSENT


def test_counts_are_grouped() -> None:
    assert values.count(1234567) == "1,234,567"
    assert values.count(0) == "0"
    assert values.count(None) == values.ABSENT


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (450, 1250, "36 %"),
        (0, 5, "0 %"),
        (-0.00004, 1, "0 %"),
        (1, 0, values.ABSENT),
        (None, 5, values.ABSENT),
        (1e90, 5e-324, values.ABSENT),
    ],
)
def test_a_percentage_needs_a_whole(part: object, whole: object, text: str) -> None:
    assert values.percent(part, whole) == text


def test_what_a_terminal_would_act_upon_is_escaped() -> None:
    assert values.printable("\x1b[2Jrm\n\x00\x9b") == "\\x1b[2Jrm\\n\\x00\\x9b"
    assert values.printable("a\u202eb\ud800") == "a\\u202eb\\ud800"
    assert values.printable("plain ü 漢") == "plain ü 漢"


@given(st.text(), st.integers(1, 50))
def test_printable_text_is_printable_and_bounded(text: str, limit: int) -> None:
    shown = values.printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert shown.endswith("…") or len(text) <= limit


def test_what_has_another_shape_counts_as_absent() -> None:
    assert values.mapping(["no", "object"]) == {}
    assert values.rows({"no": "list"}) == []
    assert values.rows([1, {"a": 2}, None]) == [{"a": 2}]


@pytest.mark.parametrize(
    ("value", "noun", "shown"),
    [
        (1, "exec", "1 exec"),
        (1.2, "exec", "1 exec"),
        (2_000, "exec", "2,000 execs"),
        (None, "fork", "– forks"),
    ],
)
def test_a_count_has_its_noun(value: object, noun: str, shown: str) -> None:
    assert values.counted(value, noun) == shown
