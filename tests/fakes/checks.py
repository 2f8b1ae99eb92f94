"""What an evidence says of itself, on loads of one's own."""

from typing import Any

from fakes.program import program
from fakes.real_agent import RealAgent

Json = dict[str, Any]

FIELDS = {"name", "unit", "ours", "kernel", "explained", "difference", "bound", "pass"}


def checks_of(evidence: Json) -> dict[str, Json]:
    """By name."""
    checks = {check["name"]: check for check in evidence["checks"]}
    assert len(checks) == len(evidence["checks"])
    assert all(check.keys() >= FIELDS for check in evidence["checks"])
    return checks


def unexplained(check: Json) -> float:
    """What is left of the difference, as a part of the kernel's."""
    return float(abs(check["ours"] + check["explained"] - check["kernel"]) / check["kernel"])


def of_a_tree(agent: RealAgent, *command: object, **body: Any) -> Json:
    """Evidence of a command and its children."""
    with (
        program("launch", *command) as launcher,
        agent.run(scope=launcher.scope, **body) as run,
    ):
        launcher.work()
        assert launcher.hear()["status"] == 0
    return run.evidence
