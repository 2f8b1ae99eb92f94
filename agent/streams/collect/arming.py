"""Conversion of the supervisor's answer to arming."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from agent.model import Scope
from agent.sections.exec.probe import EXEC_FAILURES
from agent.sections.offcpu.probe import WALL
from agent.sections.probes import ALL_DETAILS
from agent.streams.collect import scopes
from agent.streams.collect.observed import Arming
from agent.streams.shared import specs
from agent.streams.shared.messages import ArmAnswer
from agent.streams.shared.plan import Plan


def read_arming(answer: ArmAnswer, plan: Plan, scope: Scope, cgroup_id: int) -> Arming:
    """Return what is armed, and why the rest is not. ``cgroup_id``: the scope's, or 0."""
    unavailable, refused = dict(answer.unavailable), answer.refused
    hooks: dict[str, tuple[str, ...]] = {}
    for section, needed in _needed(plan).items():
        if missing := _not_attached(needed, refused):
            unavailable.setdefault(section, missing)
        elif section not in unavailable:
            hooks[section] = tuple(f"tp_btf/{hook}" for hook in needed)
    measured = {detail: specs.hooks_of_detail(detail) for detail in plan.details}
    if answer.awaits_execs:
        measured[EXEC_FAILURES.name] = specs.AWAITING_HOOKS
    details = _armed_details(measured, hooks, refused, unavailable)
    second = [program.hook for program in specs.BASE_PROGRAMS if program.is_second]
    if missing := _not_attached(second, refused):
        unavailable[specs.PREEMPTION] = missing
    # whether or not anybody asked for it: it has a place of its own that says why it is missing
    no_wall = unavailable.pop(WALL.name, "")
    return Arming(
        start_ns=answer.start_ns,
        hooks=MappingProxyType(hooks),
        unavailable=MappingProxyType(unavailable),
        transport=plan.transport,
        timing=plan.timing,
        scope=scopes.described(scope, cgroup_id, answer.root),
        gaps=(*scopes.out_of_sight(scope, answer.pid_level), *_not_followed(refused)),
        versions=MappingProxyType({"bcc": answer.bcc}),
        map_bytes=answer.map_bytes,
        details=MappingProxyType(details),
        no_wall=no_wall,
    )


@lru_cache
def _needed(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Return the hooks that each section of a plan is attached to."""
    constants = plan.constants()
    return {section: specs.attached_hooks(section, constants) for section in plan.sections}


def _armed_details(
    measured: Mapping[str, tuple[str, ...]],
    hooks: Mapping[str, tuple[str, ...]],
    refused: Mapping[str, str],
    unavailable: dict[str, str],
) -> dict[str, tuple[str, ...]]:
    """Return the hooks of details whose sections are armed; add refused ones to ``unavailable``."""
    armed = {}
    for detail, needed in measured.items():
        if missing := _not_attached(needed, refused):
            unavailable[detail] = missing
        elif ALL_DETAILS[detail] in hooks and detail not in unavailable:
            armed[detail] = tuple(f"tp_btf/{hook}" for hook in needed)
    return armed


def _not_followed(refused: Mapping[str, str]) -> tuple[str, ...]:
    """Return why it is not known which tasks belong to the run, if those programs are missing."""
    hooks = [program.hook for program in specs.BASE_PROGRAMS if not program.is_second]
    missing = _not_attached(hooks, refused)
    return (f"tasks may be missing, or others included: {missing}",) if missing else ()


def _not_attached(needed: Iterable[str], refused: Mapping[str, str]) -> str:
    """Return which of these hooks were refused, each reason once; empty if none was."""
    by_reason: dict[str, list[str]] = {}
    for hook in needed:
        if hook in refused:
            by_reason.setdefault(refused[hook], []).append(hook)
    missing = (f"{', '.join(hooks)}: {reason}" for reason, hooks in by_reason.items())
    return f"cannot attach to {'; '.join(missing)}" if by_reason else ""
