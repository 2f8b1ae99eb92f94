"""The limit on locked memory, where maps and programs count against it: before Linux 5.11.

The default there is 64 KiB, of which the maps need some hundred times as much. Standard library
only.
"""

import resource

from agent.streams.shared import confinement


def lift() -> None:
    """Raise the limit of this process and of those that it starts, as far as it may.

    Called before the first map is created. A limit that nothing counts against stays as it is; if
    no map can be created at all, nothing may be left of it, and to raise it does no harm.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY:
        return
    if confinement.can_create_a_map() and not confinement.limits_locked_memory():
        return
    try:
        unlimited = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (unlimited, unlimited))
    except (OSError, ValueError):  # above the hard limit only with CAP_SYS_RESOURCE
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
