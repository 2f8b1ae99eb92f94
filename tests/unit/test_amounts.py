"""Times in a comparison: four digits, in the unit in which the rounded time is at least one."""

import pytest

from agent.show.amounts import ms


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (99.997, "100.0 ms"),
        (9.9998, "10.00 ms"),
        (0.99996, "1.000 ms"),
        (999.96, "1.000 s"),
        (-999.96, "-1.000 s"),
        (0.00099996, "1.000 µs"),
        (0.0004, "400.0 ns"),
        (72.34, "72.34 ms"),
        (12345.6, "12.35 s"),
        (None, "–"),
        (1.7975000000000001e308, "–"),
    ],
)
def test_four_digits(value: object, text: str) -> None:
    assert ms(value) == text
