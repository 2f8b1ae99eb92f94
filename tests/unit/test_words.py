"""Figures in sentences: a count with its noun, a percentage."""

import pytest

from agent.evidence.words import amount, percent
from agent.nouns import counted, plural, singular


@pytest.mark.parametrize(
    ("number", "one", "said"),
    [
        (1, "time", "1 time"),
        (0, "exec", "0 execs"),
        (2_000, "other syscall", "2,000 other syscalls"),
        (2, "flush", "2 flushes"),
        (3, "latency", "3 latencies"),
    ],
)
def test_one_of_something_is_not_many(number: int, one: str, said: str) -> None:
    assert counted(number, one) == said


@pytest.mark.parametrize("many", ["switches", "flushes", "forks", "tasks", "requests", "softirqs"])
def test_a_unit_is_known_in_both_forms(many: str) -> None:
    assert plural(singular(many)) == many


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1, "switches", "1 switch"),
        (1.2, "forks", "1 fork"),
        (2, "tasks", "2 tasks"),
        (12_655, "requests", "12,655 requests"),
        (0, "ns", "0 ns"),
        (1_500_000, "ns", "1.5 ms"),
    ],
)
def test_a_figure_has_its_unit(value: float, unit: str, said: str) -> None:
    assert amount(value, unit) == said


@pytest.mark.parametrize(
    ("part", "said"), [(62.5, "625 %"), (0.2, "2 %"), (1e-9, "less than 0.01 %"), (0, "0 %")]
)
def test_a_percentage_has_no_exponent(part: float, said: str) -> None:
    assert percent(part, 10) == said
