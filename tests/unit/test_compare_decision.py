"""When a comparison fails a build."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.compare.decision import FINE, INCONCLUSIVE, SLOWER, decide


def comparison(low: float | None, high: float | None, outcome: str = "larger") -> dict[str, Any]:
    return {"change_pct": {"low": low, "middle": None, "high": high}, "outcome": outcome}


@pytest.mark.parametrize(
    ("found", "status", "strict"),
    [
        (comparison(3.5, 8.0), SLOWER, SLOWER),
        (comparison(2.5, 8.0), FINE, INCONCLUSIVE),
        (comparison(-1.0, 3.5, "undecided"), FINE, INCONCLUSIVE),
        (comparison(-1.0, 2.9, "undecided"), FINE, FINE),
        (comparison(1.5, 2.5), FINE, FINE),
        (comparison(-9.0, -3.0, "smaller"), FINE, FINE),
        (comparison(None, None, "too few"), FINE, INCONCLUSIVE),
        (comparison(3.5, 8.0, "drift"), FINE, INCONCLUSIVE),
    ],
)
def test_only_what_is_beyond_doubt_fails(found: Any, status: int, strict: int) -> None:
    assert decide(found, 0.03, strict=False).status == status
    assert decide(found, 0.03, strict=True).status == strict


def test_the_reason_has_the_figures() -> None:
    assert decide(comparison(3.5, 8.0), 0.03, strict=False).why == (
        "slower by more than 3 % beyond doubt (95 % interval 3.5 – 8 % more time)"
    )
    in_blocks = comparison(3.5, 8.0) | {"conclusive_if": "nothing else changed"}
    assert decide(in_blocks, 0.03, strict=False).why == (
        "slower by more than 3 %, if nothing else changed (95 % interval 3.5 – 8 % more time)"
    )
    assert decide(comparison(2.5, 8.0), 0.03, strict=True).why == (
        "inconclusive: it may be slower by more than 3 % (95 % interval 2.5 – 8 % more time)"
    )
    assert "passes without --strict" in decide(comparison(2.5, 8.0), 0.03, strict=False).why
    assert decide(comparison(-1.0, 1.0), 0.03, strict=True).why == ""


@given(st.floats(-99, 500), st.floats(0, 100), st.sampled_from([0.01, 0.03, 0.5]))
def test_a_change_that_may_be_allowed_is_never_beyond_doubt(
    low: float, width: float, limit: float
) -> None:
    found = decide(comparison(low, low + width), limit, strict=True)
    assert (found.status == SLOWER) == (low > 100 * limit)
    assert (found.status == FINE) == (low + width <= 100 * limit)


def test_what_a_file_lacks_decides_nothing() -> None:
    for odd in ({}, {"change_pct": None}, {"change_pct": {"low": "x", "high": True}}):
        assert decide(odd, 0.03, strict=True).status == INCONCLUSIVE
