"""Numbers of a series as text: with one digit more than elsewhere, since differences are small."""

import math

from agent.terminal.values import ABSENT, number, significant

FEWEST = 6
"""Runs of each side, or pairs, that a 95 % interval takes (`agent.statistics.estimate`)."""


def between(low: object, high: object, unit: object) -> str:
    return f"{amount(low, unit)} – {amount(high, unit)}"


def amount(value: object, unit: object) -> str:
    return ms(value) if unit == "ms" else plain(value)


def ms(value: object) -> str:
    """Return a time given in ms, with four digits."""
    ms = number(value)
    if ms is None:
        return ABSENT
    if ms == 0:
        return "0 ms"
    ms = _rounded(ms)  # first, or 999.96 ms would be 1,000.0 ms
    for unit, size in (("s", 1e3), ("ms", 1.0), ("µs", 1e-3)):
        if abs(ms) >= size:
            return f"{_four_digits(ms / size)} {unit}"
    return f"{_four_digits(ms * 1e6)} ns"


def _rounded(value: float) -> float:
    """Return the nearest number of four digits."""
    return float(f"{value:.3e}")


def _four_digits(value: float) -> str:
    decimals = max(3 - math.floor(math.log10(abs(_rounded(value)))), 0)
    return f"{value:,.{decimals}f}"


def plain(value: object) -> str:
    amount = number(value)
    return ABSENT if amount is None else significant(amount)


def percent(value: object) -> str:
    return f"{plain(value)} %"


def p(value: object) -> str:
    p = number(value)
    return f"p {ABSENT}" if p is None else "p<0.001" if p < 0.0005 else f"p={p:.3f}"
