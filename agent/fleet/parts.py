"""Which machines took part in a run over several agents, and the evidence of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.terminal.values import mapping


class Part(NamedTuple):
    """One machine: its ``name``, its evidence (empty if it has none), and why it has none."""

    name: str
    boot_id: str
    evidence: Mapping[str, Any]
    why_not: str


def parts_of(document: Mapping[str, Any], listed: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the machines of a document, in the order of ``listed``, its ``fleet.machines``.

    A name that several have is followed by the agent's URL.
    """
    names = Counter(str(row.get("machine") or "") for row in listed)
    return [_part(document, row, names) for row in listed]


def _part(document: Mapping[str, Any], row: Mapping[str, Any], names: Mapping[str, int]) -> Part:
    machine, agent = str(row.get("machine") or ""), str(row.get("agent"))
    is_alone = machine and names[machine] == 1
    name = machine if is_alone else f"{machine} ({agent})" if machine else agent
    evidence = document if row.get("runs_workload") else mapping(row.get("evidence"))
    if evidence.get("available") is True:
        return Part(name, str(row.get("boot_id") or ""), evidence, "")
    why_not = row.get("reason") or evidence.get("reason") or "it gives no reason"
    return Part(name, str(row.get("boot_id") or ""), {}, str(why_not))
