"""Figures in the sentences of a verdict. Pure functions."""

UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3))


def amount(value: float, unit: str) -> str:
    """Return a figure with its unit: ``12,655 switches``; ns in the most readable unit, rounded."""
    if unit != "ns":
        return f"{value:,.0f} {unit}"
    for name, size in UNITS:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.0f} ns"


def percent(part: float, whole: float) -> str:
    """Return ``part`` as a percentage of ``whole``, which must not be 0."""
    return f"{100 * part / whole:.2g} %"
