"""A run's scope: as numbers for the supervisor, as the evidence describes it, and what it lacks."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.model import Scope
from agent.streams.collect import cgroups
from agent.streams.shared.messages import DisarmAnswer, ScopeNumbers, ScopeProcess

OUTSIDE = (
    "the agent is in a pid namespace, and cannot look at tasks outside of it as the run begins and "
    "ends"
)


def scope_numbers(scope: Scope, owner: int | None = None) -> ScopeNumbers:
    """Return the scope as numbers and addresses only: a path never reaches the privileged side.

    ``owner``: the uid that the root of a tree must have, if any.
    """
    if scope.kind == "cgroup":
        return ScopeNumbers(scope.kind, cgroups=cgroups.chain(scope.cgroup))
    return ScopeNumbers(
        scope.kind, pid=scope.pid, client=scope.client, server=scope.server, owner=owner
    )


def described(scope: Scope, cgroup_id: int, root: ScopeProcess | None) -> dict[str, Any]:
    """Return the scope as it appears in the evidence, with the process that a number meant."""
    described: dict[str, Any] = {"kind": scope.kind}
    if scope.kind == "cgroup":
        described["cgroup"] = scope.cgroup
        described["cgroup_ids"] = [cgroup_id]
    if root is not None:
        began = datetime.now(UTC) - timedelta(microseconds=root.age_ns / 1e3)
        described["pid"] = root.pid
        described["host_pid"] = root.host_pid
        described["command"] = root.command
        described["process_started_at"] = began.isoformat(timespec="milliseconds")
    return described


def out_of_sight(scope: Scope, pid_level: int) -> tuple[str, ...]:
    """Return what a run cannot see because the agent is in a pid namespace, in words.

    A tree of processes is in the namespace if its root is.
    """
    if pid_level == 0:
        return ()
    if scope.kind == "system":
        missing = "their waits at the edges of the run, and their rows by thread and by command"
        return (f"{OUTSIDE}: {missing} are missing",)
    if scope.kind == "cgroup" and cgroups.has_strangers(scope.cgroup):
        return (f"{OUTSIDE}: some of this cgroup are missing",)
    return ()


def cgroup_at_stop(
    path: str, answer: DisarmAnswer, found: int | None
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return what is known of a cgroup at the stop, and what the run has missed of it, in words.

    ``found``: the id of the cgroup at that path just before the run was ended, if there was one.
    """
    known: dict[str, Any] = {"cgroup_removed": found is None}
    if not answer.cgroups:  # the supervisor is gone
        return known, ()
    known["cgroup_ids"] = list(answer.cgroups)
    if found is None or found in answer.cgroups:
        return known, ()
    return known, (f"{path} is another cgroup (id {found}) than the one that was measured",)
