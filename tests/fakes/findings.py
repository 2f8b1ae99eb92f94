"""What ``doctor`` found, by check."""

from collections.abc import Iterable

from agent.doctor.finding import Finding, State


def states(findings: Iterable[Finding]) -> dict[str, State]:
    return {finding.check: finding.state for finding in findings}


def texts(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: finding.text for finding in findings}
