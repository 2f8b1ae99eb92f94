"""Which runs are not compared, and what would allow it."""

from typing import Any

import pytest
from fakes.kept_groups import group
from fakes.sample_evidence import evidence

from agent.comparison.comparable import NotComparable, Refusal
from agent.comparison.kept import Asked, compare_groups
from agent.words import MOST_RUNS


def runs(first: int = 0, **changes: Any) -> list[Any]:
    return group(*[100.0 + n for n in range(6)], first=first, **changes)


def manifest(**changes: Any) -> dict[str, Any]:
    return evidence(manifest={"kernel": "6.1", "transport": "ring", "timing": "clock"} | changes)


def refused(before: list[Any], after: list[Any], **asked: Any) -> list[Refusal]:
    with pytest.raises(NotComparable) as caught:
        compare_groups(before, after, Asked(**asked))
    return list(caught.value.refusals)


@pytest.mark.parametrize(
    ("what", "one", "other", "cure"),
    [
        ("machine", {"labels": {"machine": "a"}}, {"labels": {"machine": "b"}}, "--across machine"),
        (
            "cpus",
            {"evidence": manifest(cpus=2)},
            {"evidence": manifest(cpus=4)},
            "--across machine",
        ),
        ("kernel", {"evidence": manifest()}, {"evidence": manifest(kernel="6.18")}, "--across"),
        (
            "transport",
            {"evidence": manifest()},
            {"evidence": manifest(transport="perf")},
            "measured alike",
        ),
        (
            "timing",
            {"evidence": manifest()},
            {"evidence": manifest(timing="accounting")},
            "measured alike",
        ),
        (
            "scope",
            {"evidence": evidence(scope={"kind": "pid"})},
            {"evidence": evidence(scope={"kind": "system"})},
            "measured alike",
        ),
        (
            "waking",
            {"evidence": evidence(wall={"available": True, "waking_ms": 1.5})},
            {"evidence": evidence(wall={"available": True, "waking_ms": None})},
            "both sides with --details waking, as run does for two commands, or neither",
        ),
        ("mock", {"evidence": evidence()}, {"evidence": evidence(mock=True)}, "measured alike"),
    ],
)
def test_runs_that_were_not_measured_alike(
    what: str, one: dict[str, Any], other: dict[str, Any], cure: str
) -> None:
    before, after = runs(**one), runs(first=6, **other)
    [refusal] = refused(before, after)
    assert refusal.what == what
    assert cure in refusal.cure
    assert "--force" in refusal.cure
    assert "(6 runs)" in refusal.why
    forced = compare_groups(before, after, Asked(force=True))["compared"]
    assert forced["forced"]
    assert [one["what"] for one in forced["refused"]] == [what]
    assert compare_groups(before, runs(first=6, **one))["compared"]["forced"] is False


def test_what_differs_on_purpose_is_named() -> None:
    before, after = runs(evidence=manifest()), runs(first=6, evidence=manifest(kernel="6.18"))
    found = compare_groups(before, after, Asked(across=("kernel",)))["compared"]
    assert (found["across"], found["forced"]) == (["kernel"], False)
    assert found["facts"]["kernel"] == {"baseline": ["6.1"], "optimized": ["6.18"]}
    assert [one.what for one in refused(before, after, across=("machine",))] == ["kernel"]


def test_what_differs_within_a_side_is_no_purpose() -> None:
    mixed = [*runs(evidence=manifest()), *runs(first=6, evidence=manifest(kernel="6.18"))]
    after = runs(first=12, evidence=manifest(kernel="6.18"))
    [refusal] = refused(mixed, after, across=("kernel",))
    assert "6.1 (6 runs), 6.18 (6 runs)" in refusal.why
    assert "--across" not in refusal.cure


def test_every_reason_is_said_at_once() -> None:
    other = manifest(kernel="6.18", transport="perf")
    found = refused(runs(evidence=manifest()), runs(first=6, evidence=other))
    assert [one.what for one in found] == ["kernel", "transport"]


def test_what_is_not_known_differs_from_nothing() -> None:
    unseen = {"available": False, "reason": "no agent"}
    document = compare_groups(runs(evidence=unseen), runs(first=6, evidence=unseen))
    assert document["compared"]["facts"]["kernel"] == {"baseline": [], "optimized": []}
    assert document["sides"]["baseline"]["verdicts"] == {"none": 6}


def test_a_side_is_of_one_command() -> None:
    def of(command: str, first: int) -> list[Any]:
        took = {"arguments": command.split(), "wall_ms": 100.0}
        return runs(first, command=took)

    [refusal] = refused([*of("./a", 0), *of("./b 1", 6)], of("./a", 12))
    assert refusal.what == "command"
    assert refusal.why == "the runs of baseline are of 2 commands: ./a (6), ./b 1 (6)"
    assert "by a label that only it has" in refusal.cure
    many = [run for n in range(5) for run in of(f"./{n}", 6 * n)]
    [refusal] = refused(many, of("./a", 40))
    assert refusal.why.endswith("are of 5 commands: ./0 (6), ./1 (6), ./2 (6) and 2 more")
    compare_groups(of("./a", 0), of("./b", 6))


def test_no_more_runs_are_compared_than_can_be_in_a_second_or_a_few() -> None:
    many = group(*[100.0] * (MOST_RUNS + 1))
    [refusal] = refused(many, runs(first=2000), force=True)
    assert "1,001 runs of baseline count, and at most 1,000 are compared" in refusal.why


def test_incomplete_evidence() -> None:
    invalid = evidence(completeness={"verdict": "invalid", "reasons": ["events_ceased"]})
    [refusal] = refused(runs(), [*runs(first=6), *runs(first=12, evidence=invalid)])
    assert refusal.what == "evidence"
    assert "run-12, run-13, run-14 and 3 more is invalid" in refusal.why
    [refusal] = refused([*runs(), *runs(first=6, state="partial")[:1]], runs(first=12))
    assert "run run-6 is partial" in refusal.why
    assert "leave" in refusal.cure
