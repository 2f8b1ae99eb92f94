"""Whether what a file holds can be kept: evidence, of a version that this program knows."""

from agent.model import EVIDENCE_SCHEMA
from agent.show.missing import PARTS, has_section
from agent.store.errors import StoreError
from agent.store.run import KeptRun
from agent.terminal.values import mapping, number

INSTEAD_OF_SECTIONS = ("unavailable", "procfs")
"""Objects that say why nothing was measured by a probe, or hold what was read instead."""


def check(run: KeptRun) -> None:
    """Raise `StoreError` if a run's evidence would be kept and shows nothing.

    A run of a series may have none. Evidence may be of an earlier version, and be changed, so it
    need not have all parts: but it has a section, or says why not.
    """
    evidence = run.evidence
    if not evidence:
        return
    _check_schema(evidence.get("schema"))
    if evidence.get("available") is False:
        if not (isinstance(evidence.get("reason"), str) or mapping(evidence.get("unavailable"))):
            raise StoreError("it says that nothing was measured, but lacks the reason")
    elif not (has_section(evidence) or any(mapping(evidence.get(x)) for x in INSTEAD_OF_SECTIONS)):
        absent = [name for name, fits in PARTS.items() if not fits(evidence.get(name))]
        raise StoreError(f"it is no evidence: it lacks {', '.join(['any section', *absent])}")


def _check_schema(schema: object) -> None:
    if schema is None:  # the first agents gave none
        return
    version = number(schema)
    if version is None:
        raise StoreError("it is no evidence: its schema is no number")
    if version > EVIDENCE_SCHEMA:
        raise StoreError(
            f"it is of schema {version:g}, and this program knows those up to {EVIDENCE_SCHEMA}:"
            " import it with the chainbench-agent that wrote it, or a later one"
        )
