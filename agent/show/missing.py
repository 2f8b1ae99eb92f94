"""What evidence should have and this file does not, so that nothing is missing without a word."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS
from agent.show.header import label
from agent.terminal.values import mapping, number

Test = Callable[[object], bool]


def _is(kind: type) -> Test:
    return lambda value: isinstance(value, kind)


PARTS: Mapping[str, Test] = {
    "available": _is(bool),
    "run_id": _is(str),
    "labels": _is(dict),
    "started_at": _is(str),
    "stopped_at": _is(str),
    "duration_s": lambda value: number(value) is not None,
    "manifest": _is(dict),
    "completeness": _is(dict),
    "checks": _is(list),
    "overhead": _is(dict),
}
"""The parts of every evidence, of whatever version and even if nothing was measured."""

INSTEAD_OF_SECTIONS = ("unavailable", "procfs")
"""Objects that say why nothing was measured by a probe, or hold what was read instead."""

OPTIONAL: Mapping[str, Test] = {
    "schema": lambda value: number(value) is not None,
    "mock": _is(bool),
    "reason": _is(str),
    "code": _is(str),
    "unavailable": _is(dict),
    "scope": _is(dict),
    "measured_from": _is(str),
    "measured_to": _is(str),
    "timeline": _is(dict),
    "syscall_details": _is(dict),
    "command": _is(dict),
    "procfs": _is(dict),
}
"""Parts that only some evidence has."""


OF_AN_AGENT = ("run_id", "completeness")
"""Every agent gives these, whatever it could measure."""


def is_without_agent(evidence: Mapping[str, Any]) -> bool:
    """Return whether a run has no evidence of an agent, but only the reason why not.

    ``run`` still says how long the command took, and what the kernel counted of it.
    """
    says_why = evidence.get("available") is False and isinstance(evidence.get("reason"), str)
    return says_why and not any(map(evidence.get, OF_AN_AGENT))


def missing(evidence: Mapping[str, Any], status: Mapping[str, Any]) -> list[str]:
    """Return a line for the parts that are absent, and one for those of a wrong type."""
    expected = () if is_without_agent(evidence) else PARTS
    absent = [name for name in expected if evidence.get(name) is None]
    if not (label(evidence, "machine") or status.get("machine")):
        absent.append("machine")
    malformed = [
        name
        for name, fits in {**PARTS, **OPTIONAL}.items()
        if (value := evidence.get(name)) is not None and not fits(value)
    ]
    lines = {
        "Not in this evidence": [*_absent_sections(evidence), *absent],
        "Malformed in this evidence": malformed,
    }
    return [f"{title}: {', '.join(names)}" for title, names in lines.items() if names]


def wrong_with(evidence: Mapping[str, Any]) -> str | None:
    """Return why an object is no evidence: it shows nothing. None if it does.

    Evidence may be of an earlier version, and be changed, so it need not have all parts: but it has
    a section, or says why not.
    """
    if evidence.get("available") is False:
        if isinstance(evidence.get("reason"), str) or mapping(evidence.get("unavailable")):
            return None
        return "it says that nothing was measured, but lacks the reason"
    if has_section(evidence) or any(mapping(evidence.get(name)) for name in INSTEAD_OF_SECTIONS):
        return None
    absent = [name for name, fits in PARTS.items() if not fits(evidence.get(name))]
    return f"it is no evidence: it lacks {', '.join(['any section', *absent])}"


def has_section(evidence: Mapping[str, Any]) -> bool:
    """Return whether there is a section with anything in it."""
    return any(mapping(evidence.get(name)) for name in SECTIONS)


def _absent_sections(evidence: Mapping[str, Any]) -> list[str]:
    """Return the default sections that are not mentioned, where anything was measured."""
    if evidence.get("available") is False:
        return []
    mentioned = {*evidence, *mapping(evidence.get("unavailable"))}
    return [name for name in DEFAULT_SECTIONS if name not in mentioned]
