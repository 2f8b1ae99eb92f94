"""Resolve a run's scope, from the request to the root of a process tree. Privileged side.

A scope arrives as numbers and addresses only. Finding the process at the other end of a connection
requires the privilege to inspect other processes, so it is done here. The kernel is asked which
process a number means, not /proc, which may belong to another pid namespace.
"""

from agent.errors import ScopeError
from agent.streams.shared.callers import pid_behind
from agent.streams.shared.messages import ScopeNumbers
from agent.streams.shared.namespaces import process_exists
from agent.streams.supervisor.identities import Identify, Identity, ourselves


def root_of(scope: ScopeNumbers, identify: Identify) -> Identity | None:
    """Return the process at the root of a scope's tree; None if it has none. Raises ScopeError."""
    if scope.kind == "pid":
        if scope.owner is not None:
            _not_hidden(scope.pid, scope.owner, identify)
        return _not_ours(_owned(_living(scope.pid, identify), scope.owner), identify)
    if scope.kind == "caller":
        pid = scope.pid or pid_behind(scope.client, scope.server)
        return _owned(_living(pid, identify), scope.owner)
    return None


def _owned(root: Identity, owner: int | None) -> Identity:
    """Refuse another user's process: its evidence says what it does."""
    if owner not in (None, root.uid):
        raise _forbidden(
            f"process {root.local_tgid} does not belong to uid {owner}, or acts for another user "
            "too"
        )
    return root


def _not_hidden(pid: int, owner: int, identify: Identify) -> None:
    """Refuse a process of which the kernel does not tell the user: it may be another's."""
    if identify(pid) is None and process_exists(pid):
        raise _forbidden(f"process {pid} is not known to belong to uid {owner}")


def _forbidden(why: str) -> ScopeError:
    return ScopeError(
        f"{why}: over its socket the agent measures a user's own processes only, and everybody's "
        "for root (sudo)",
        code="forbidden_user",
    )


def _living(pid: int, identify: Identify) -> Identity:
    found = identify(pid)
    if found is not None:
        return found
    if process_exists(pid):
        raise ScopeError(
            f"process {pid} exists, but this kernel shows it to no BPF iterator over tasks, and so "
            'the agent cannot find its threads and descendants; use "system" for the scope, or one '
            "of its descendants",
            code="process_not_shown",
        )
    raise ScopeError(
        f"there is no process {pid} in the agent's pid namespace; if you are in another one, as in "
        'a container, use "caller", or the number that the agent knows the process by',
        code="no_such_process",
    )


def ended(root: Identity) -> ScopeError:
    """Return the error for a process that has been identified and of which no task is alive."""
    if process_exists(root.local_tid):
        how = "has ended, and is a zombie until its parent reaps it (wait(2))"
    else:
        how = "ended before the run began"
    return ScopeError(f"process {root.local_tgid} {how}", code="no_such_process")


def _not_ours(root: Identity, identify: Identify) -> Identity:
    """Refuse the agent: it is excluded from every run, so its own run would show only zeros."""
    if ourselves(identify).tgid in (root.tgid, root.parent_tgid):
        raise ScopeError(
            f"process {root.local_tgid} belongs to the agent, which is excluded from every run",
            code="scope_is_the_agent",
        )
    return root
