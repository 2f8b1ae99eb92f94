"""CPU time that a quota withheld from a run: the kernel's counts of its cgroups, at both edges.

A group's quota applies to all tasks in it and in the groups below it, so each group up to the root
may throttle a task. The counts are in ``cpu.stat`` (sched-bwc.rst and cgroup-v2.rst in the kernel's
documentation). They are the group's: all its tasks contribute, those of the run and others, and
times are summed over CPUs.

The groups are those of the process at the root of the run's tree, as the run begins. Their files
stay open until its end, so a group that replaces one that was removed cannot be mistaken for it.
"""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.model import TREES, Scope
from agent.streams.collect import cgroups
from agent.streams.shared.control_groups import Groups, groups
from agent.streams.shared.foreign_names import as_text
from agent.streams.shared.namespaces import why_proc_is_not_ours

STAT = "cpu.stat"
ONLY_ON_ROOT = "cgroup.sane_behavior"
NOT_ON_ROOT = "cgroup.type"
"""Files that distinguish the root of a hierarchy, of version 1 and 2, from what a container sees
as its root."""

NOT_LOOKED_AT = "no control group was looked at"
OF_THE_WHOLE_MACHINE = "a run of the whole machine has tasks of all control groups"
NOT_FOUND = "the control group of the process is not visible to the agent"
OF_ANOTHER_VERSION = (
    "the cpu controller is one of version 1 of control groups, where this cgroup has no group"
)
MOVED = "processes of the run were moved to other control groups during it, or born into them"
NOT_READ = "a control group was removed during the run, or its cpu.stat cannot be read"
NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)


class _NotOfTheKernel(Exception):
    """A file of a control group holds something else than the kernel writes; the text says so."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} of a control group holds something else than the kernel writes: something else"
            " may be mounted over it"
        )


class Counts(NamedTuple):
    """A group's counts since it was made, or 0 in a group that has none, having no controller."""

    periods: int = 0
    throttled: int = 0
    throttled_ns: int = 0


@dataclass(frozen=True, slots=True)
class Limited:
    """A group with a quota as the run began, or that was throttled during it."""

    path: str
    """From the root of its hierarchy, as the agent sees it."""
    quota_us: int | None
    """CPU time for each period; None if it had no quota as the run began."""
    period_us: int | None
    during: Counts


@dataclass(frozen=True, slots=True)
class Throttling:
    """What the quotas of a run's groups did during it."""

    limits: tuple[Limited, ...] = ()
    """From the innermost group outwards."""
    to_root: bool = False
    """Whether all groups up to the root of the hierarchy were seen; never in a container."""
    reason: str = ""
    """Why nothing is known."""

    @property
    def ns(self) -> int | None:
        """For how long groups were throttled, summed over groups and CPUs; None if not known."""
        total = sum(limited.during.throttled_ns for limited in self.limits)
        return None if self.reason or not (total or self.to_root) else total


NOTHING_KNOWN = Throttling(reason=NOT_LOOKED_AT)


class _Group(NamedTuple):
    path: str
    stat: int
    """File descriptor."""
    quota_us: int | None
    period_us: int | None
    began: Counts


class QuotaMeter:
    """The groups of one run, from its start to its end."""

    def __init__(self, found: Groups, reason: str = "") -> None:
        """``reason``: why the groups are not known."""
        self._groups: list[_Group] = []
        self._reason = reason or ("" if found.directories else NOT_FOUND)
        self._to_root = bool(found.directories) and _is_root(found.version, found.directories[-1])
        try:
            for path, directory in _named(found):
                self._groups.append(_opened(path, directory, found.version))
        except OSError:
            self._reason = NOT_READ
            self.close()
        except _NotOfTheKernel as error:
            self._reason = str(error)
            self.close()

    def read(self, moved: int = 0) -> Throttling:
        """Return what there was since the beginning. ``moved``: how many processes of the run."""
        if self._reason or moved:
            return Throttling(reason=self._reason or MOVED)
        try:
            limits = tuple(_since(group) for group in self._groups)
        except OSError:  # ENODEV: the group is gone
            return Throttling(reason=NOT_READ)
        except _NotOfTheKernel as error:
            return Throttling(reason=str(error))
        shown = (one for one in limits if one.quota_us is not None or one.during.throttled)
        return Throttling(tuple(shown), self._to_root)

    def close(self) -> None:
        while self._groups:
            os.close(self._groups.pop().stat)


NO_GROUPS = Groups(0, "", ())


def meter_of(scope: Scope, described: Mapping[str, object]) -> QuotaMeter:
    """Return the meter of a run that begins. ``described``: its scope, as evidence has it."""
    if scope.kind == "cgroup":
        if groups("cpu").version == 1:
            return QuotaMeter(NO_GROUPS, OF_ANOTHER_VERSION)
        return QuotaMeter(cgroups.groups_at(scope.cgroup))
    if scope.kind not in TREES:
        return QuotaMeter(NO_GROUPS, OF_THE_WHOLE_MACHINE)
    if why_not := why_proc_is_not_ours():
        return QuotaMeter(NO_GROUPS, why_not)
    return QuotaMeter(groups("cpu", Path(f"/proc/{described.get('pid')}/cgroup")))


def _named(found: Groups) -> Sequence[tuple[str, Path]]:
    """Return each group with its path, the innermost first."""
    own = Path(found.path or "/")
    return [
        (as_text(str(path)), directory)
        for path, directory in zip((own, *own.parents), found.directories, strict=False)
    ]


def _is_root(version: int, directory: Path) -> bool:
    if version == 1:
        return (directory / ONLY_ON_ROOT).exists()
    return not (directory / NOT_ON_ROOT).exists()


def _opened(path: str, directory: Path, version: int) -> _Group:
    quota, period = _quota(directory, version)
    stat = os.open(directory / STAT, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.ExitStack() as unless_read:
        unless_read.callback(os.close, stat)
        group = _Group(path, stat, quota, period, _counts(stat))
        unless_read.pop_all()
    return group


def _quota(directory: Path, version: int) -> tuple[int | None, int | None]:
    """Return quota and period in µs; None without a quota, and in a group without controller."""
    try:
        if version == 1:
            quota = _number("cpu.cfs_quota_us", _text(directory / "cpu.cfs_quota_us"))
            period = _number("cpu.cfs_period_us", _text(directory / "cpu.cfs_period_us"))
            return (None, None) if quota < 0 else (quota, period)
        allowed, _, every = _text(directory / "cpu.max").partition(" ")
        if allowed == "max":
            return None, None
        return _number("cpu.max", allowed), _number("cpu.max", every)
    except FileNotFoundError:  # that is so of the root of version 2
        return None, None


def _text(file: Path) -> str:
    return file.read_bytes().decode("ascii", "replace").strip()


def _number(name: str, text: str) -> int:
    """Return the number that a file of this name has. Raises `_NotOfTheKernel`."""
    if not NUMBER.fullmatch(text):
        raise _NotOfTheKernel(name)
    return int(text)


def _counts(stat: int) -> Counts:
    """Return the counts in an open ``cpu.stat``. Raises OSError, `_NotOfTheKernel`."""
    text = os.pread(stat, 4096, 0).decode("ascii", "replace")
    lines = (line.split() for line in text.splitlines())
    found = {line[0]: _number(STAT, line[1]) for line in lines if len(line) == 2}
    if not found:
        raise _NotOfTheKernel(STAT)
    ns = found.get("throttled_time", found.get("throttled_usec", 0) * 1000)
    return Counts(found.get("nr_periods", 0), found.get("nr_throttled", 0), ns)


def _since(group: _Group) -> Limited:
    during = Counts(*(b - a for a, b in zip(group.began, _counts(group.stat), strict=True)))
    return Limited(group.path, group.quota_us, group.period_us, during)
