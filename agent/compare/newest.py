"""What to type in place of ``last`` where the runs that it names do not count."""

from collections.abc import Sequence

from agent.compare.library import OwnStore
from agent.runs.listing import grouped
from agent.store.errors import StoreError
from agent.store.rows import Summary
from agent.store.selection import LAST

SIDES = {"baseline", "optimized"}


def newest_that_count(arguments: Sequence[str], library: OwnStore) -> str:
    """Return the newest entries that can be compared, in the order of the ``last~N`` given.

    Empty if an argument has another form, or too few entries have runs that count.
    """
    places = [int(found[1] or 0) for text in arguments if (found := LAST.fullmatch(text))]
    if len(places) < len(arguments):
        return ""
    fits = _compares if len(arguments) == 1 else _is_one_side
    try:
        fitting = [n for n, runs in enumerate(grouped(library.listed())) if fits(runs)]
    except StoreError:  # why the given runs are not compared is said all the same
        return ""
    if len(fitting) < len(places):
        return ""
    newest = [fitting[sorted(places).index(place)] for place in places]
    return " ".join(f"last~{back}" if back else "last" for back in newest)


def _compares(runs: Sequence[Summary]) -> bool:
    return {run.side for run in runs if run.counts} >= SIDES


def _is_one_side(runs: Sequence[Summary]) -> bool:
    return any(run.counts for run in runs) and not {run.side for run in runs} >= SIDES
