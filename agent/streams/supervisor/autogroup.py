"""The weight of the agent's session while a run is in progress. Privileged side.

With CONFIG_SCHED_AUTOGROUP each session is scheduled as a group, next to all other groups. Some
kernels let the group of a fast ping-pong keep the CPU (docs/explanation/full-buffers.md): the agent
is then runnable for seconds without running. At nice -20 that is rare. The value is changed only in
a session that the supervisor leads, as a service's or a container's: another may be that of a shell
whose commands are what the run measures.
"""

import contextlib
import os
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
FAVOURED = -20


class Autogroup:
    """The autogroup of this process and of the agent, its child."""

    def __init__(self, path: Path = AUTOGROUP) -> None:
        self._path = path
        self._before: int | None = None
        """The nice value to put back; None if it has not been changed."""

    def favour(self) -> None:
        """Raise the group's weight, if the kernel has such groups and lets us."""
        if self._before is not None or os.getsid(0) != os.getpid():
            return
        with contextlib.suppress(OSError, ValueError, IndexError):
            # "/autogroup-123 nice 0"; empty for a process that is in no such group
            before = int(self._path.read_text().split()[2])
            self._path.write_text(str(FAVOURED))
            self._before = before

    def put_back(self) -> None:
        """Undo `favour`."""
        if self._before is None:
            return
        with contextlib.suppress(OSError):
            self._path.write_text(str(self._before))
        self._before = None
