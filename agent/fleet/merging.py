"""Evidence of several machines, added up.

Histograms are added at full resolution, so that a percentile of all is one of all their latencies;
percentiles are never averaged. Totals are added. What divides the wall time, or names threads, is
of one machine and stays there.

The evidence may come from any version of the agent. What cannot be read is left out, and a reason
says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.fleet.parts import Part, parts_of
from agent.fleet.sections import MERGED
from agent.terminal.evidence import verdict
from agent.terminal.values import mapping, rows
from agent.words import DEGRADED, INVALID, VERDICTS, Json

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError)
"""What the functions of `MERGED` raise for an object that is not as agents make it."""


def with_merged(document: Json) -> Json:
    """Return the document of a run over several agents with ``fleet.merged``; any other as it is.

    ``document`` is that of the workload's own machine, and ``fleet.machines`` has the others.
    """
    fleet = document.get("fleet")
    if not isinstance(fleet, dict):
        return document
    return {**document, "fleet": {**fleet, "merged": merged(document)}}


def merged(document: Mapping[str, Any]) -> Json:
    """Return what the machines of a document show together; see docs/reference/evidence.md."""
    listed = rows(mapping(document.get("fleet")).get("machines"))
    parts = parts_of(document, listed)
    known = [part for part in parts if part.evidence]
    problems = [f"machine_missing: {part.name}: {part.why_not}" for part in parts if part.why_not]
    problems += _counted_twice(known)
    if not known:
        return {"available": False, "reason": "none of the machines has evidence"}
    sections: Json = {}
    for section, add in MERGED.items():
        found, unreadable = _sections(section, known)
        problems += unreadable
        if found:
            sections[section] = {"machines": len(found), **add(found)}
    is_mock = any(part.evidence.get("mock") for part in known)
    return {
        "available": True,
        **({"mock": True} if is_mock else {}),
        "machines": [part.name for part in known],
        "completeness": _completeness(known, problems),
        **sections,
    }


def _sections(section: str, parts: Sequence[Part]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return a section of each machine that measured it, and why one of them is not added."""
    found, unreadable = [], []
    for part in parts:
        content = part.evidence.get(section)
        if content is None:
            continue  # the machine's own reasons say why
        try:
            MERGED[section]([mapping(content)])
        except MALFORMED as error:
            unreadable.append(f"not_merged: on {part.name}: {section}: {_words(error)}")
        else:
            found.append(mapping(content))
    return found, unreadable


def _words(error: Exception) -> str:
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)


def _counted_twice(parts: Sequence[Part]) -> list[str]:
    """Return that several agents were on one machine: each has counted what all tasks did."""
    by_boot: dict[str, list[str]] = {}
    for part in parts:
        if part.boot_id:
            by_boot.setdefault(part.boot_id, []).append(part.name)
    return [
        f"same_machine: {', '.join(names)} are one machine: what several of these agents saw is"
        " counted several times"
        for names in by_boot.values()
        if len(names) > 1
    ]


def _completeness(parts: Sequence[Part], problems: Sequence[str]) -> Json:
    """Return the worst verdict, with the reasons of every machine."""
    found = [verdict(part.evidence) or INVALID for part in parts]
    found += [DEGRADED] if problems else []
    reasons = [*problems]
    for part in parts:
        own = mapping(part.evidence.get("completeness")).get("reasons")
        listed = own if isinstance(own, list) else []
        reasons += [_on(part.name, str(reason)) for reason in listed]
    worst = max(found, key=lambda word: VERDICTS.index(word) if word in VERDICTS else len(VERDICTS))
    return {"verdict": worst if worst in VERDICTS else INVALID, "reasons": reasons}


def _on(machine: str, reason: str) -> str:
    code, colon, text = reason.partition(": ")
    return f"{code}: on {machine}: {text}" if colon else f"{code}: on {machine}"
