"""What the evidence of several machines shows together."""

from agent.words import Json


def together(evidence: Json) -> Json:
    """Return evidence of several machines with what they show together; any other as it is.

    Most evidence is of one machine, and needs none of what is imported for that.
    """
    if "fleet" not in evidence:
        return evidence
    from agent.fleet.merging import with_merged

    return with_merged(evidence)
