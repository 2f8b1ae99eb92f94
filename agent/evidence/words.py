"""Figures in the sentences of a verdict. Pure functions."""

from agent.nouns import singular

UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3))
SMALLEST_SHARE = 0.01
"""In percent; below it, digits say nothing."""


def amount(value: float, unit: str) -> str:
    """Return a figure with its unit: ``12,655 switches``; ns in the most readable unit, rounded."""
    if unit != "ns":
        shown = f"{value:,.0f}"
        return f"{shown} {singular(unit) if shown == '1' else unit}"
    for name, size in UNITS:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.0f} ns"


def percent(part: float, whole: float) -> str:
    """Return ``part`` as a percentage of ``whole``, which must not be 0; without an exponent."""
    share = 100 * part / whole
    if 0 < share < SMALLEST_SHARE:
        return f"less than {SMALLEST_SHARE} %"
    return f"{share:,.0f} %" if share >= 10 else f"{share:.2g} %"
