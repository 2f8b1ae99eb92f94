"""The features of this machine and its kernel, as the privileged process finds them."""

import os
from collections.abc import Mapping
from dataclasses import replace

from agent.sections.offcpu.probe import WALL
from agent.streams.shared import confinement, kernel_files, refusals
from agent.streams.shared.causes import cannot
from agent.streams.shared.plan import Plan
from agent.streams.shared.support import LINUX, Feature, Support, Unknown
from agent.streams.supervisor.armed import PROGRAM_TIMES
from agent.streams.supervisor.atomics import ATOMICS
from agent.streams.supervisor.buffers import RING_BUFFERS
from agent.streams.supervisor.wait_stacks import KERNEL_ADDRESSES


def _has_capabilities() -> None:
    who = "root" if os.getuid() == 0 else f"uid {os.getuid()}"
    if cause := refusals.lacks_capabilities(f"running as {who}"):
        raise cause


def _has_proc() -> None:
    kernel_files.content(kernel_files.PID_MAX)


def _has_sys() -> None:
    kernel_files.content(kernel_files.POSSIBLE_CPUS)
    kernel_files.content(kernel_files.ONLINE_CPUS)


def _has_btf() -> None:
    kernel_files.check_btf(kernel_files.BTF)


def _is_in_initial_user_namespace() -> None:
    try:
        elsewhere = confinement.in_user_namespace()
    except OSError as error:
        raise Unknown(f"{error.filename}: {error.strerror}") from error
    if elsewhere:
        raise cannot("user_namespace", "the agent runs in a user namespace")


REQUIRED = (
    LINUX,
    Feature("initial_user_namespace", _is_in_initial_user_namespace),
    Feature("capabilities", _has_capabilities, since="5.8"),
    Feature("proc", _has_proc),
    Feature("sys", _has_sys),
    Feature("btf", _has_btf, since="5.4"),
    Feature("bpf_calls", refusals.check_call),
)
"""Nothing can be measured without all of these. The most general is first: where one is missing,
those after it may be missing for that reason."""

FEATURES = (*REQUIRED, RING_BUFFERS, KERNEL_ADDRESSES, PROGRAM_TIMES, ATOMICS)


class Found:
    """What was found out about the features; each start asks anew what may have changed."""

    def __init__(self) -> None:
        self._final: dict[str, Support] = {}
        self._told: dict[str, Support] = {}

    def support(self) -> dict[str, Support]:
        """Return the answer for each feature, by name."""
        return {feature.name: self.of(feature) for feature in FEATURES}

    def told(self) -> tuple[Support, ...]:
        """Return the answer for each feature, to tell the agent."""
        self._told = self.support()
        return tuple(self._told.values())

    def news(self, answers: dict[str, Support]) -> tuple[Support, ...] | None:
        """Return these to tell the agent; None if it knows them."""
        if answers == self._told:
            return None
        self._told = answers
        return tuple(answers.values())

    def of(self, feature: Feature) -> Support:
        """Return the answer for one feature."""
        if feature.name in self._final:
            return self._final[feature.name]
        found = feature.support()
        if feature.is_final and found.supported:
            self._final[feature.name] = found
        return found


def possible(plan: Plan, atomics: Support) -> Plan:
    """Return the plan without what this kernel certainly cannot measure."""
    if atomics.supported is not False:
        return plan
    return replace(plan, details=tuple(name for name in plan.details if name != WALL.name))


def not_offered(plan: Plan, offered: Mapping[str, Support]) -> dict[str, str]:
    """Return the details of a plan that this machine cannot have, and why."""
    atomics, addresses = offered[ATOMICS.name], offered[KERNEL_ADDRESSES.name]
    missing = {}
    if WALL.name in plan.details and atomics.supported is False:
        missing[WALL.name] = atomics.reason
    if "wait_functions" in plan.details and addresses.reason:
        missing["wait_functions"] = addresses.reason
    return missing
