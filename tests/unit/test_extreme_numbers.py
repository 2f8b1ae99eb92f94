"""Numbers at the limits of a double: what is computed from them is in no report as infinity."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from fakes.comparisons import compared, groups
from fakes.sample_evidence import detailed
from fakes.series_documents import alone

from agent.show.brief import brief
from agent.show.cause import cause
from agent.show.markdown import markdown
from agent.show.text import render

EXTREMES = (1.7976931348623157e308, 1e200, 1e99, 5e-324, 1e-300, 10**99, 0)
NO_FIGURE = re.compile(r"\b(inf|nan)\b")
CAUSE = {
    "difference_ms": {"low": 0.5, "middle": 2.661, "high": 5.0},
    "detectable_ms": 2.088,
    "why_none": "too small",
}


def undecided() -> dict[str, Any]:
    return compared(cause=CAUSE)


def with_extremes(value: Any, chance: random.Random, part: float) -> Any:
    """Return a document with another number, of either sign, for a part of its numbers."""
    if isinstance(value, dict):
        return {name: with_extremes(inner, chance, part) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_extremes(inner, chance, part) for inner in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or chance.random() > part:
        return value
    return chance.choice(EXTREMES) * chance.choice((1, -1))


@pytest.mark.parametrize("document", [alone, compared, groups, undecided, detailed])
def test_a_report_of_any_numbers_has_no_infinity(document: Callable[[], dict[str, Any]]) -> None:
    chance = random.Random(1)
    for round_ in range(40):
        extreme = with_extremes(document(), chance, (0.1, 1)[round_ % 2])
        for report in (brief, render, markdown):
            assert not NO_FIGURE.search(report(extreme))


def test_how_many_runs_would_do_is_not_said_for_a_difference_close_to_0() -> None:
    close = {**CAUSE, "difference_ms": {"low": 0.0, "middle": 5e-324, "high": 1.0}}
    assert cause({"cause": close, "pairs": 10}) == "; the times vary too much to say why"
