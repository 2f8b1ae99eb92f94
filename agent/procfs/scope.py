"""The tasks of a run's scope: found without eBPF, or the reason why they are not."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import partial

import trio

from agent.errors import ScopeError
from agent.model import TREES, Scope
from agent.procfs.files import Unreadable, content
from agent.procfs.group import Group
from agent.procfs.task import uids_of
from agent.procfs.tree import Tree
from agent.streams.collect import cgroups
from agent.streams.shared.callers import pid_behind
from agent.streams.shared.kernel_counts import TICK_NS
from agent.streams.shared.namespaces import why_proc_is_not_ours
from agent.words import Json


class NotFound(Exception):
    """The tasks of a scope cannot be followed; the text says why."""


async def find(
    scope: Scope, owner: int | None, *, with_waits: bool, left_out: Collection[int]
) -> Tree | Group:
    """Return the tasks of a scope other than the whole machine. Raises `NotFound`.

    Raises ScopeError for a control group that does not exist: its run would be about nothing.
    ``owner``: the uid that the root of a tree must have, if any. ``left_out``: the agent's own
    processes, which may be descendants of a tree's root. In a control group they are counted by
    the kernel with all others, and the group says that they were there.
    """
    if why_not := why_proc_is_not_ours():
        raise NotFound(why_not)
    try:
        if scope.kind in TREES:
            pid = scope.pid or await _unblocking(partial(pid_behind, scope.client, scope.server))
            _check_owner(pid, owner)
            if pid in left_out:
                raise NotFound(
                    f"process {pid} belongs to the agent, which is left out of every run"
                )
            return Tree(pid, with_waits=with_waits, left_out=left_out)
        folder = cgroups.directory(scope.cgroup)
        return Group(folder, with_waits=with_waits, agent=left_out)
    except ScopeError as error:
        if scope.kind == "cgroup":
            raise
        raise NotFound(error.message) from error
    except (Unreadable, OSError) as error:
        raise NotFound(str(error)) from error


async def _unblocking(search: Callable[[], int]) -> int:
    """Search the descriptors of every process, which takes long, in a thread."""
    return await trio.to_thread.run_sync(search)


def _check_owner(pid: int, owner: int | None) -> None:
    """Check that a process is a user's own in every respect. Raises `NotFound`, `Unreadable`."""
    if owner is None:
        return
    if set(uids_of(pid)) != {owner}:
        raise NotFound(f"process {pid} is not known to belong to uid {owner}")


def described(scope: Scope, tasks: Tree | Group | None) -> Json:
    """Return the scope as evidence has it, with the process that a number meant."""
    found: Json = {"kind": scope.kind}
    if scope.kind == "cgroup":
        found["cgroup"] = scope.cgroup
    if isinstance(tasks, Tree):
        pid, start = tasks.root
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start * TICK_NS
        began = datetime.now(UTC) - timedelta(microseconds=age_ns / 1e3)
        found["pid"] = pid
        found["command"] = _name(pid)
        found["process_started_at"] = began.isoformat(timespec="milliseconds")
    return found


def _name(pid: int) -> str:
    try:
        name = content(f"/proc/{pid}/comm").removesuffix(b"\n")
    except Unreadable:
        return ""
    return name.decode(errors="backslashreplace")
