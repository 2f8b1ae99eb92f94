"""Series that ``/metrics`` does not show for now: kept small, so that there may be thousands."""

import pickle
import zlib
from itertools import islice
from typing import cast

from agent.aggregate.one_series import LabelSet, Series


class HiddenSeries:
    """Up to ``limit`` series by label set; beyond it those that were hidden first are forgotten.

    Each is kept as compressed bytes, about a tenth of what the objects take.
    """

    def __init__(self, limit: int) -> None:
        self.forgotten = 0
        """Label sets whose series are lost."""
        self._limit = limit
        self._packed: dict[LabelSet, bytes] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, labels: LabelSet, series: Series) -> int:
        """Keep a series; return how many have been forgotten for it."""
        # our own bytes, which never leave this process: pickle has nothing to fear here
        self._packed[labels] = zlib.compress(pickle.dumps(series, pickle.HIGHEST_PROTOCOL), 1)
        surplus = list(islice(self._packed, max(0, len(self._packed) - self._limit)))
        for oldest in surplus:
            del self._packed[oldest]
        self.forgotten += len(surplus)
        return len(surplus)

    def take(self, labels: LabelSet) -> Series | None:
        """Return a series, which is no longer hidden; None if it is not here."""
        packed = self._packed.pop(labels, None)
        return None if packed is None else cast(Series, pickle.loads(zlib.decompress(packed)))
