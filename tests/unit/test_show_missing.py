"""What ``show`` says of parts that evidence lacks, that are malformed, or that are newer."""

from datetime import UTC, datetime

import pytest
from fakes.sample_evidence import detailed, evidence, status

from agent.model import EVIDENCE_SCHEMA
from agent.run.around import unmeasured
from agent.show.missing import OPTIONAL, PARTS
from agent.show.text import render


def test_a_section_that_could_not_be_measured_says_why() -> None:
    partial = evidence(unavailable={"biolatency": "this kernel has no block_rq_issue"})
    del partial["biolatency"]
    text = render(partial)
    assert "not measured: this kernel has no block_rq_issue" in text
    assert "Run-queue latency" in text


def test_a_section_absent_without_a_reason_is_not_shown_as_zero() -> None:
    without = evidence()
    del without["exec"]
    assert "Not in this evidence: exec\n" in render(without)
    assert "Execs" not in render(without)


def test_a_section_that_was_not_asked_for_is_not_mentioned() -> None:
    assert "softirq" not in render(evidence())


def test_a_section_that_is_no_object_is_malformed() -> None:
    assert "malformed in this evidence" in render(evidence() | {"exec": [1]})


@pytest.mark.parametrize("part", evidence())
def test_a_part_that_is_missing_is_named(part: str) -> None:
    whole = evidence()
    del whole[part]
    assert f"\nNot in this evidence: {part}\n" in render(whole)
    assert "Malformed" not in render(whole)
    assert "Not in this" not in render(evidence())


@pytest.mark.parametrize("part", [*PARTS, *OPTIONAL])
def test_a_part_of_a_wrong_type_is_named(part: str) -> None:
    wrong = {"a": 7} if part == "checks" else [7]
    assert f"\nMalformed in this evidence: {part}\n" in render(evidence(**{part: wrong}))
    assert "Malformed" not in render(detailed())


def test_evidence_with_nothing_but_available_lacks_everything() -> None:
    text = render({"available": True})
    assert "Verdict: none\n  - this evidence does not say whether it is complete" in text
    for part in evidence().keys() - {"available"}:
        assert part in " ".join(text.split())


@pytest.mark.parametrize("completeness", [{}, [], "complete", {"verdict": 1}, {"verdict": None}])
def test_a_missing_verdict_is_reported(completeness: object) -> None:
    assert "Verdict: none\n" in render(evidence(completeness=completeness))


def test_a_run_without_an_agent_lacks_nothing_that_only_an_agent_has() -> None:
    why = "no answer from http://127.0.0.1:9: Connection refused"
    text = render(unmeasured(why, datetime.now(UTC), {}))
    assert "Verdict: none\n  - this run has no evidence of an agent\n" in text
    assert "Not in this evidence" not in text
    assert why in " ".join(text.split())
    of_an_agent = evidence(available=False, reason=why)
    del of_an_agent["completeness"]
    assert "does not say whether it is complete" in render(of_an_agent)
    assert "Not in this evidence: completeness\n" in render(of_an_agent)


def test_reasons_that_are_missing_are_said() -> None:
    for reasons in ({}, {"reasons": None}, {"reasons": "lost"}):
        text = render(evidence(completeness={"verdict": "degraded", **reasons}))
        assert "its reasons are missing" in text
    assert "reasons" not in render(evidence(completeness={"verdict": "complete", "reasons": []}))
    assert "it gives no reason" in render({"available": False})


@pytest.mark.parametrize("schema", [EVIDENCE_SCHEMA, 0, None])
def test_evidence_of_a_known_version_needs_no_remark(schema: object) -> None:
    assert render(evidence(schema=schema)) == render(evidence())


@pytest.mark.parametrize("schema", [EVIDENCE_SCHEMA + 1, 10**6, 10**20, 2.5])
def test_evidence_of_a_newer_agent_says_so(schema: float) -> None:
    (line,) = (line for line in render(evidence(schema=schema)).splitlines() if "newer" in line)
    assert f"schema {schema:g} is newer than this program's {EVIDENCE_SCHEMA}" in line
    assert len(line) <= 80


def test_no_evidence_at_all_says_why_and_shows_no_section() -> None:
    text = render({"available": False, "reason": "no capability: run as root"}, status())
    assert "available: false\n  no capability: run as root" in text
    assert "Run-queue" not in text
    assert "machine   x" in text
