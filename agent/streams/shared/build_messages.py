"""Messages between the supervisor and the compiler process.

Standard library only, Python 3.9.
"""

from dataclasses import dataclass

AWAITED_EXECS = "awaited_execs"
"""Name of the fd for the map of awaited execs. Some process must keep the map open: the kernel
runs no callback otherwise."""


@dataclass(frozen=True)
class BuildRequest:
    sections: tuple[str, ...]
    constants: dict[str, int]
    """Values of the ``-D`` constants, by name."""


@dataclass(frozen=True)
class ProgramName:
    """A loaded program; its file descriptor is sent under the name of its hook."""

    name: str
    hook: str


@dataclass(frozen=True)
class BuildAnswer:
    """Sent with the programs' fds, and with AWAITED_EXECS if this kernel can await execs."""

    programs: tuple[ProgramName, ...]
    unavailable: dict[str, str]
    """The sections that could not be built, and why."""
    bcc: str
    newer_refused: str
    """Why no newer kernel features are used although this kernel has some; otherwise empty."""
