"""What is booted: kernels with the work that each of them gets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

NEWEST = "newest"
"""As a series: the newest that Debian has."""

ALWAYS = ("demo", "matrix")
TESTED = (*ALWAYS, "tests")


@dataclass(frozen=True, slots=True)
class Target:
    """One guest: a kernel's series, such as ``6.1``, and an architecture of Debian's.

    ``variant`` tells targets of the same kernel apart. ``steps`` are functions of
    tools/kernels/inside.
    """

    series: str
    architecture: str
    variant: str = ""
    steps: tuple[str, ...] = ALWAYS
    flavour: str = "cloud"
    suite: str = "bookworm"
    """Of the guest's user space."""
    cpus: int = 1
    lacks: tuple[str, ...] = ()
    """Sections and details that this kernel cannot have; a run must name each with its reason."""

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.series, self.architecture, self.variant)))


DEFAULT = (
    Target("6.1", "amd64", steps=TESTED),
    Target(NEWEST, "amd64", steps=TESTED),
    Target("5.10", "amd64", lacks=("wall",)),
    Target("6.12", "amd64"),
    Target("6.12", "arm64"),
)
"""These fit into 75 minutes on two CPUs. What is most telling comes first."""

REST = (
    Target("6.1", "arm64"),
    Target(NEWEST, "arm64"),
    Target("6.12", "arm64", "16k", flavour="16k"),
    Target("6.12", "amd64", "16-cpus", cpus=16),
    Target("6.12", "amd64", "disks", steps=("disks",), flavour="plain"),
    Target("6.12", "amd64", "debian-13", suite="trixie"),
)
"""What ``--full`` adds. It also runs every combination of the matrix, not only half of them."""

FLAVOURS = {"cloud": "cloud-{}", "plain": "{}", "16k": "{}-16k"}
"""How the names of Debian's kernel packages end. The cloud kernels are small and boot fast; they
lack some drivers (md), and there is none with pages of 16 KiB."""


class UnknownTarget(Exception):
    """A name that no target has; the text lists those that there are."""


def chosen(only: Sequence[str], full: bool, steps: Sequence[str] = ()) -> tuple[Target, ...]:
    """Return the targets of a run: the named ones, or the default ones, or with ``full`` all.

    ``steps`` replaces theirs. Raises `UnknownTarget`.
    """
    known = {target.name: target for target in (*DEFAULT, *REST)}
    if unknown := [name for name in only if name not in known]:
        raise UnknownTarget(f"no target {', '.join(unknown)}; there are: {', '.join(known)}")
    if only:
        targets = tuple(known[name] for name in dict.fromkeys(only))
    else:
        targets = (*DEFAULT, *REST) if full else DEFAULT
    if steps:
        targets = tuple(replace(target, steps=tuple(steps)) for target in targets)
    return tuple(map(_in_full, targets)) if full else targets


def _in_full(target: Target) -> Target:
    steps = ("matrix_full" if step == "matrix" else step for step in target.steps)
    return replace(target, steps=tuple(steps))


def roots(targets: Iterable[Target]) -> list[tuple[str, str]]:
    """Return the suite and architecture of each user space that the targets need."""
    return list(dict.fromkeys((target.suite, target.architecture) for target in targets))
