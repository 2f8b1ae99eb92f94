"""Tables of the wall time, as the kernel side leaves them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agent.sections.offcpu.layout import WALL_BEGUN, WALL_ENDED, WALL_EXECED
from agent.sections.offcpu.wall_tables import HEAD_DTYPE, NAMES, ROW_DTYPE

BOTH = 2
"""CPUs."""


def wall_table(
    *,
    begun: int,
    ended: int,
    execed: int = 0,
    mains: int = 0,
    word: int = 0,
    counts: Mapping[str, int] | None = None,
    **states: int,
) -> NDArray[np.uint8]:
    """Return struct wall_time with a row for each CPU, of a run that has ended.

    ``begun``, ``execed`` (0: not) and ``ended`` are moments in ns, ``states`` the times in ns of
    the last phase before the end; each is the sum of rows of which one may be negative.
    ``counts``: of WALL_COUNTS, in the first row.
    """
    head = np.zeros(1, HEAD_DTYPE)
    head["word"], head["mains"] = WALL_ENDED | word, mains
    head["phase_ns"][0, [WALL_BEGUN, WALL_EXECED, WALL_ENDED]] = begun, execed, ended
    rows = np.zeros(BOTH, ROW_DTYPE)
    phase = WALL_EXECED if execed else WALL_BEGUN
    for name, ns in states.items():
        rows["ns"][:, phase, NAMES[name]] = ns + ended, -ended
    for name, count in (counts or {}).items():
        rows[name][0] = count
    return np.concatenate([head.view(np.uint8), rows.view(np.uint8)])
