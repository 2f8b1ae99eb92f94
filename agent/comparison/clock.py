"""Whether the times at which runs began can be in the order in which they were made."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from agent.comparison.pairing import began_at
from agent.store.run import KeptRun


def was_set_back(runs: Sequence[KeptRun]) -> bool:
    """Return whether a later round of one side of a series began before an earlier one.

    The rounds of a series are in the order in which they were made, whatever the clock says. A
    clock that was set back between two series leaves no trace.
    """
    sides: defaultdict[tuple[str, str | None], list[tuple[int, datetime]]] = defaultdict(list)
    for run in runs:
        when = began_at(run)
        if run.series is not None and run.round is not None and when is not None:
            sides[run.series, run.side].append((run.round, when))
    return any(
        when > later for side in sides.values() for (_, when), (_, later) in pairwise(sorted(side))
    )
