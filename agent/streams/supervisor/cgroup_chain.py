"""The table by which the programs follow a run's cgroup (cgroups.h). Privileged side.

It is written before a run and read after it; during a run only the programs change it.
"""

import struct
from collections.abc import Sequence

from agent.streams.shared.layout import CGROUP_CHAIN, CGROUPS_KEPT, CGROUPS_SIZE

_LAYOUT = struct.Struct(f"=Q{CGROUP_CHAIN}Q{CGROUP_CHAIN}III{CGROUPS_KEPT}Q")
"""struct scope_cgroups of cgroups.h."""
assert _LAYOUT.size == CGROUPS_SIZE


def packed(chain: Sequence[int]) -> bytes:
    """Return the table for a chain of ids that ends with the scope's; empty for other scopes."""
    ids = [*chain, *[0] * (CGROUP_CHAIN - len(chain))]
    removed, earlier = [0] * CGROUP_CHAIN, [0] * CGROUPS_KEPT
    own = chain[-1] if chain else 0
    return _LAYOUT.pack(own, *ids, *removed, len(chain), 0, *earlier)


def ids_of(table: bytes) -> tuple[int, ...]:
    """Return the ids that the scope's cgroup had in the run, the oldest first.

    Of a cgroup that was made again more than CGROUPS_KEPT times, only the last ids are known.
    """
    values = _LAYOUT.unpack(table)
    own, remade, earlier = values[0], values[-CGROUPS_KEPT - 1], values[-CGROUPS_KEPT:]
    first = max(0, remade - CGROUPS_KEPT)
    kept = tuple(earlier[number % CGROUPS_KEPT] for number in range(first, remade))
    return (*kept, own) if own else ()
