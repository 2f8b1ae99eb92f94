"""The gain of one sample over another, by scipy's bootstrap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]

from agent.statistics.bootstrap import RESAMPLES, Gain

CLOSE = 1e-9


def percentage(before: Any, after: Any, axis: int) -> Any:
    """Return by how many percent the second median is less than the first."""
    return 100 * (1 - np.median(after, axis=axis) / np.median(before, axis=axis))


def assert_scipys(ours: Gain, samples: Sequence[Sequence[float]], paired: bool, seed: int) -> None:
    """Check that a gain has the estimate and the BCa interval that scipy finds."""
    theirs = scipy.stats.bootstrap(
        samples,
        percentage,
        paired=paired,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="BCa",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    before, after = (np.array(values) for values in samples)
    assert ours.method == "BCa"
    assert ours.estimate.middle == pytest.approx(
        percentage(before, after, axis=-1), rel=CLOSE, abs=CLOSE
    )
    assert ours.estimate.low == pytest.approx(theirs.low, rel=CLOSE, abs=CLOSE)
    assert ours.estimate.high == pytest.approx(theirs.high, rel=CLOSE, abs=CLOSE)
