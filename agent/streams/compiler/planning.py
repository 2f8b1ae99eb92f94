"""What of a run a kernel can carry out, by its types: nothing is compiled or loaded to find out.

What is found becomes ``-D`` constants for the C files; what is missing has a reason, and costs the
sections and details that need it. Standard library only; Python 3.9.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional, Protocol

from agent.sections.offcpu.probe import PROBE as OFFCPU
from agent.sections.probes import details_of, probes_of
from agent.sections.spec import (
    BYTES,
    ELEMENTS,
    NUMBER,
    POINTER,
    Argument,
    Detail,
    Field,
    Program,
)
from agent.sections.syscalls import SYSCALL_REGISTER
from agent.streams.compiler.btf import KIND_STRUCT, Place
from agent.streams.shared import specs

HELPERS = "bpf_func_id"
"""The enum of the kernel's helpers."""
FIRST_HELPER = "BPF_FUNC_map_lookup_elem"
SEARCH = "SEARCH_REGISTERS"
"""The constant of kernels without a helper that finds a task's saved registers (tasks.c)."""
REASONS = "reasons"
"""What is missing of off-CPU time, next to sections and details, if it cannot be read."""
NO_REASONS = (
    "the agent does not find the registers that a task saves as it enters this kernel, so why "
    "tasks are blocked is unknown"
)
REASONS_REFUSED = "why tasks are blocked is unknown, since programs that read it were refused"
WIDTHS = (1, 2, 4, 8)
"""Of the loads that the C files have."""
TOGETHER = {"cgroup_rmdir": ("cgroup_mkdir",), "cgroup_mkdir": ("cgroup_rmdir",)}
"""Hooks of which the C files have programs for both or for neither: an id that is freed may be
taken again."""


class Types(Protocol):
    """The types of a kernel; see `agent.streams.compiler.btf.KernelTypes`."""

    def type_id(self, name: str, kind: int) -> Optional[int]: ...

    def place_of(self, struct: str, field: str) -> Optional[Place]: ...

    def bit_of(self, struct: str, field: str) -> Optional[tuple[int, int]]: ...

    def size_of(self, name: str, kind: int) -> Optional[int]: ...

    def tracepoint_id(self, name: str) -> Optional[int]: ...

    def argument_types(self, tracepoint: str) -> list[str]: ...

    def has_enumerator(self, enum: str, name: str) -> bool: ...

    def enumerator(self, name: str) -> Optional[int]: ...


class Known(NamedTuple):
    """What a kernel's types say."""

    constants: dict[str, int]
    """The constants of what it has."""
    missing: dict[str, str]
    """Why it lacks the others, by constant."""


class Possible(NamedTuple):
    """What of a run is possible on a kernel."""

    sections: tuple[str, ...]
    constants: dict[str, int]
    """Those that select the code, without details that are not possible, and the kernel's."""
    unavailable: dict[str, str]
    """Why other sections and details are not, by name."""


def possible(types: Types, constants: Mapping[str, int], sections: tuple[str, ...]) -> Possible:
    """Return what of a run is possible. ``constants``: those of its plan and of the maps."""
    known = known_of(types)
    reasons = {s: lacks_for(types, known, specs.needs_of(s, constants)) for s in sections}
    unavailable = {section: reason for section, reason in reasons.items() if reason}
    chosen = tuple(s for s in sections if s not in unavailable)
    chosen_constants = {**constants, **known.constants}
    for detail in chosen_details(constants, chosen):
        reason = lacks_for(types, known, specs.needs_of_detail(detail, constants))
        if reason:
            unavailable[detail.name] = reason
            chosen_constants[detail.switch] = 0
    if not chosen_constants.keys() & {"HAVE_TASK_PT_REGS", SEARCH}:
        unavailable |= _without_reasons(chosen, NO_REASONS)
    return Possible(chosen, chosen_constants, unavailable)


def without_search(plan: Possible, why: str) -> Possible:
    """Return the plan without the search for saved registers, if it has one.

    ``why``: what was refused with it; the search itself or something else.
    """
    if SEARCH not in plan.constants:
        return plan
    missing = _without_reasons(plan.sections, f"{REASONS_REFUSED}: {why}")
    return Possible(plan.sections, not_searching(plan.constants), {**plan.unavailable, **missing})


def not_searching(constants: Mapping[str, int]) -> dict[str, int]:
    """Return the constants without the one that selects the search for saved registers."""
    return {name: number for name, number in constants.items() if name != SEARCH}


def _without_reasons(sections: tuple[str, ...], why: str) -> dict[str, str]:
    return {REASONS: why} if OFFCPU.name in sections else {}


def chosen_details(constants: Mapping[str, int], sections: Iterable[str]) -> tuple[Detail, ...]:
    """Return the details of these sections that the constants select."""
    names = (
        detail.name
        for probe in probes_of(sections)
        for detail in probe.details
        if constants.get(detail.switch)
    )
    return details_of(names)


def known_of(types: Types) -> Known:
    """Return the offsets, widths and positions that the C files need, and what is missing."""
    constants: dict[str, int] = {}
    missing: dict[str, str] = {}
    for field in specs.FIELDS:
        reason = _add_field(types, field, constants)
        if reason:
            missing[field.constant] = reason
    for bit in specs.BITS:
        found = types.bit_of(bit.struct, bit.field)
        if found is not None:
            constants[bit.constant], constants[f"{bit.constant}_MASK"] = found
    for argument in specs.ARGUMENTS:
        position = position_of(types, argument)
        if position is None:
            missing[argument.constant] = _no_argument(types, argument)
        else:
            constants[argument.constant] = position
    for flag in specs.FLAGS:
        number = types.enumerator(flag.enumerator)
        constants[flag.constant] = 1 << (flag.before if number is None else number)
    return Known({**constants, **_offers(types, constants)}, missing)


def lacks_for(types: Types, known: Known, needs: specs.Needs) -> str:
    """Return what a kernel lacks of this; empty if nothing."""
    reasons = [
        *(
            f"this kernel has no tracepoint {program.hook}"
            for program in needs.programs
            if not program.iterates and not program.optional
            if types.tracepoint_id(program.tracepoint) is None
        ),
        *(
            f"this kernel has no helper bpf_{helper}"
            for helper in needs.helpers
            if not has_helper(types, helper)
        ),
        *(
            f"this kernel's BTF has {known.missing[name]}"
            for name in needs.constants
            if name in known.missing
        ),
        *(
            f"this kernel's BTF has {' and '.join(known.missing[name] for name in names)}"
            for names in needs.one_of
            if all(name in known.missing for name in names)
        ),
    ]
    return reasons[0] if reasons else ""


def available_programs(
    types: Types, constants: Mapping[str, int], sections: tuple[str, ...]
) -> list[Program]:
    """Return these sections' programs, without optional ones that this kernel has no hook for."""
    programs = specs.programs_for(sections, constants)
    return [p for p in programs if not p.optional or has_hook(types, p.hook)]


def has_hook(types: Types, hook: str) -> bool:
    """Whether the kernel has a tracepoint, with the arguments that we take from it.

    Of two that are of use only together it has both, or neither.
    """
    return all(_has_hook(types, each) for each in (hook, *TOGETHER.get(hook, ())))


def _has_hook(types: Types, hook: str) -> bool:
    if types.tracepoint_id(hook) is None:
        return False
    arguments = (argument for argument in specs.ARGUMENTS if argument.tracepoint == hook)
    return all(position_of(types, argument) is not None for argument in arguments)


def has_helper(types: Types, helper: str) -> bool:
    """Whether the kernel has a helper. True if its types do not say which it has."""
    if not types.has_enumerator(HELPERS, FIRST_HELPER):
        return True
    return types.has_enumerator(HELPERS, f"BPF_FUNC_{helper}")


def position_of(types: Types, argument: Argument) -> Optional[int]:
    """Return the position of a tracepoint's argument, or None."""
    positions = [
        position
        for position, name in enumerate(types.argument_types(argument.tracepoint))
        if name == argument.type_name
    ]
    return positions[argument.nth] if argument.nth < len(positions) else None


def _add_field(types: Types, field: Field, constants: dict[str, int]) -> str:
    """Add the constants of a field; return why it cannot be used, or an empty string."""
    places = ((path, types.place_of(*path)) for path in field.paths)
    path, place = next(((p, place) for p, place in places if place), (field.paths[0], None))
    if place is None:
        return "no field " + " or ".join(".".join(path) for path in field.paths)
    reason = _unfit(field, place)
    if reason:
        return f"{'.'.join(path)} as {reason}"
    constants[field.constant] = place.offset
    if field.reads in (NUMBER, ELEMENTS):
        constants[f"{field.constant}_SIZE"] = place.size
    return ""


def _unfit(field: Field, place: Place) -> str:
    """Return why a field cannot be read as the C files do; empty if it can."""
    if field.reads == POINTER and not place.is_pointer:
        return "no pointer"
    if field.reads == BYTES and place.total < field.at_least:
        return f"{place.total} bytes instead of {field.at_least}"
    if field.reads == NUMBER and place.size == 0:
        return "a bit field"
    if field.reads == NUMBER and not (place.size in WIDTHS and place.size >= field.at_least):
        return f"{place.size} bytes instead of {field.at_least}"
    return ""


def _no_argument(types: Types, argument: Argument) -> str:
    found = ", ".join(types.argument_types(argument.tracepoint)) or "none"
    return f"no {argument.type_name} among the arguments of {argument.tracepoint} ({found})"


def _offers(types: Types, constants: Mapping[str, int]) -> dict[str, int]:
    """Return the constants for this kernel's optional features, found by name, not version."""
    offers = {
        f"HAVE_{program.hook.upper()}": 1
        for program in specs.PROGRAMS
        if program.optional and has_hook(types, program.hook)
    }
    offers |= {
        constant: 1
        for constant, helper in specs.OPTIONAL_HELPERS.items()
        if types.has_enumerator(HELPERS, f"BPF_FUNC_{helper}")
    }
    if not any(types.place_of(*path) is not None for path in SYSCALL_REGISTER):
        offers.pop("HAVE_TASK_PT_REGS", None)  # they would not say which call a task is in
    elif "HAVE_TASK_PT_REGS" not in offers and "TASK_STACK" in constants:
        size = types.size_of("pt_regs", KIND_STRUCT)
        offers |= {} if size is None else {SEARCH: 1, "PT_REGS_SIZE": size}
    return offers
