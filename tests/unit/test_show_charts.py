from hypothesis import given
from hypothesis import strategies as st

from agent.terminal.charts import Bar, bar, chart, histogram


def test_bars_are_proportional_to_the_largest() -> None:
    assert bar(10, 10, 4) == "████"
    assert bar(5, 10, 4) == "██"
    assert bar(1, 32, 4) == "▏"


def test_what_is_not_zero_shows() -> None:
    assert bar(1, 10**9, 10) == "▏"
    assert bar(0, 10**9, 10) == ""


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.integers(1, 200))
def test_a_bar_keeps_to_its_width(size: float, largest: float, width: int) -> None:
    assert len(bar(size, largest, width)) <= width


def test_a_chart_lines_up_and_keeps_to_its_width() -> None:
    lines = chart([Bar("futex", 4, "4"), Bar("read", 20, "20")], 20)
    assert lines == ["futex   4  █▊", " read  20  █████████"]
    assert max(len(line) for line in lines) <= 20


def test_the_gaps_that_evidence_leaves_out_are_shown() -> None:
    lines = histogram([{"bucket_us": 64, "count": 1}, {"bucket_us": 512, "count": 2}], 60)
    assert [line.strip().split("  ")[0] for line in lines] == [
        "64 µs – 128 µs",
        "128 µs – 256 µs",
        "256 µs – 512 µs",
        "512 µs – 1.02 ms",
    ]


def test_zero_is_the_bucket_below_one_microsecond() -> None:
    first, second = histogram([{"bucket_us": 0, "count": 1}, {"bucket_us": 1, "count": 1}], 60)
    assert first.strip().startswith("below 1 µs")
    assert second.strip().startswith("1 µs – 2 µs")


def test_bounds_that_are_no_powers_of_two_stand_as_they_are() -> None:
    lines = histogram([{"bucket_us": 10**9, "count": 1}, {"bucket_us": 3, "count": 1}], 60)
    assert [line.strip().split("  ")[0] for line in lines] == ["3 µs – 6 µs", "1,000 s – 2,000 s"]


def test_broken_buckets_are_passed_over() -> None:
    broken = [{"bucket_us": None, "count": 1}, {"count": 2}, {"bucket_us": -4, "count": 1}]
    assert histogram([*broken, {"bucket_us": 8, "count": "many"}], 60) == []
