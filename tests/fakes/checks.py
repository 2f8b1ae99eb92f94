"""What an evidence says of itself, on loads of one's own."""

from collections.abc import Callable
from typing import Any

from fakes.program import program
from fakes.real_agent import RealAgent

from agent.model import Json

FIELDS = {"name", "unit", "ours", "kernel", "explained", "difference", "bound", "pass"}


def checks_of(evidence: Json) -> dict[str, Json]:
    """By name."""
    checks = {check["name"]: check for check in evidence["checks"]}
    assert len(checks) == len(evidence["checks"])
    assert all(check.keys() >= FIELDS for check in evidence["checks"])
    return checks


def passing(measure: Callable[[], Json], *names: str) -> Json:
    """Evidence in which these checks pass; of two measurements where the first was spoilt.

    On a machine where others were at work too, one of 50 storms in a scope did not pass (their
    lifetimes, with 4 unseen switches of 759), and none of 50 runs each of the other loads.
    """
    evidence = measure()
    if spoilt(evidence) and not all(checks_of(evidence)[name]["pass"] for name in names):
        evidence = measure()
    for name in names:
        assert checks_of(evidence)[name]["pass"], checks_of(evidence)[name]
    return evidence


def spoilt(evidence: Json) -> bool:
    """Whether the machine kept something from us, by what the evidence itself says.

    A kernel may run no program while a certain task does: the one that these tests ran on does so
    for process 1, which is not ours to stop. What is switched or completed then goes unseen. And a
    hypervisor may take a CPU away, or stop the machine for a while.
    """
    codes = {reason.partition(":")[0] for reason in evidence["completeness"]["reasons"]}
    return unseen(evidence) > 0 or bool(codes & {"cpus_changed", "suspended"})


def unseen(evidence: Json) -> int:
    """Switches that no program was run for."""
    return int(evidence["completeness"]["unseen_switches"])


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
