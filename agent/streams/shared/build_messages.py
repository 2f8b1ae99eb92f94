"""What the supervisor and the compiling process say to each other.

Standard library only, Python 3.9.
"""

from dataclasses import dataclass

AWAITED_EXECS = "awaited_execs"
"""Names the map of the execs that are awaited. Somebody has to hold it: the kernel calls nobody
back otherwise."""


@dataclass(frozen=True)
class BuildRequest:
    sections: tuple[str, ...]
    constants: dict[str, int]
    """By the name that the C files know them by."""


@dataclass(frozen=True)
class ProgramName:
    """A loaded program; its file descriptor bears the name of its hook."""

    name: str
    hook: str


@dataclass(frozen=True)
class BuildAnswer:
    """Comes with the programs, and with AWAITED_EXECS where this kernel can await execs."""

    programs: tuple[ProgramName, ...]
    unavailable: dict[str, str]
    """Why, for each section that could not be built."""
    bcc: str
    newer_refused: str
    """Why the programs do without what a newer kernel offers; empty where they do not."""
