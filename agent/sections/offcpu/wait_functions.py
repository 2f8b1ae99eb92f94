"""The detail ``wait_functions``: blocked time by the kernel function that tasks wait in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.sections.fold import milliseconds
from agent.sections.offcpu.layout import WAIT_FIELDS, WAIT_SITES, WAITS_SIZE
from agent.streams.collect.observed import Observed, WaitStacks
from agent.words import Json

TOP_FUNCTIONS = 20

_INTERVALS = np.dtype([("ns", "u8"), ("count", "u8")])
WAITS_DTYPE = np.dtype(
    {
        "names": ["sites", *WAIT_FIELDS],
        "formats": [(_INTERVALS, WAIT_SITES), *("u8" for _ in WAIT_FIELDS)],
        "offsets": [0, *(WAIT_SITES * 16 + 8 * i for i in range(len(WAIT_FIELDS)))],
        "itemsize": WAITS_SIZE,
    }
)
"""struct wait_counters of wait_functions.h."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Intervals in which tasks were blocked."""

    count: int
    ns: int


@dataclass(frozen=True, slots=True)
class WaitFunctions:
    """Blocked time by kernel function: for sampled waits, and in total for the others."""

    sampled: Mapping[str, Waits]
    unsampled: Waits
    refused: int
    """Stacks that did not fit in the kernel's table; their waits count as unsampled."""


def read_wait_functions(
    waits: NDArray[np.void], wait_sites: NDArray[np.uint32], stacks: WaitStacks
) -> WaitFunctions:
    """Read the tables of a run that has ended.

    ``waits``: WAITS_DTYPE, one row per CPU; ``wait_sites``: u32 per slot, 0 (not sampled) or a
    stack's number plus 1.
    """
    ns = waits["sites"]["ns"].sum(axis=0)
    count = waits["sites"]["count"].sum(axis=0)
    sites = wait_sites[stacks.open_slots]
    np.add.at(ns, sites, stacks.open_ns)
    np.add.at(count, sites, np.uint64(1))

    def of(numbers: Sequence[int]) -> Waits:
        places = [number + 1 for number in numbers]
        return Waits(int(count[places].sum()), int(ns[places].sum()))

    sampled = {function: of(numbers) for function, numbers in stacks.functions.items()}
    return WaitFunctions(
        sampled={function: waited for function, waited in sampled.items() if waited.count},
        unsampled=Waits(int(count[0]), int(ns[0])),
        refused=int(waits["refused"].sum()),
    )


def wait_functions(observed: Observed) -> Json:
    """Return what the section adds if the detail was measured and the run has ended."""
    if observed.wait_stacks is None:
        return {}
    return rows(
        read_wait_functions(
            np.frombuffer(observed.tables["waits"], WAITS_DTYPE),
            np.frombuffer(observed.tables["wait_sites"], np.uint32),
            observed.wait_stacks,
        )
    )


def rows(waits: WaitFunctions) -> Json:
    """Return the longest sampled waits; the other and the unsampled ones make up the total."""
    by_time = sorted(waits.sampled.items(), key=lambda item: (-item[1].ns, item[0]))
    rest = [of for _, of in by_time[TOP_FUNCTIONS:]]
    return {
        "wait_functions": [
            {"function": function, "samples": of.count, "ms": milliseconds(of.ns)}
            for function, of in by_time[:TOP_FUNCTIONS]
        ],
        "wait_functions_other": {
            "samples": sum(of.count for of in rest),
            "ms": milliseconds(sum(of.ns for of in rest)),
        },
        "wait_functions_unsampled": {
            "count": waits.unsampled.count,
            "ms": milliseconds(waits.unsampled.ns),
            "refused": waits.refused,
        },
    }
