"""Anything wrong with a run makes it degraded or invalid, each with its own reason."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent.evidence.checks import Check
from agent.evidence.verdict import (
    Findings,
    Verdict,
    judge,
    unavailable,
)
from agent.streams.collect.observed import StreamCounts
from agent.streams.shared.kernel_counts import Edge, KernelCounts
from agent.words import COMPLETE, DEGRADED, INVALID

GOOD = StreamCounts(produced=10_000, received=10_000)
EDGE = Edge(KernelCounts(), 0, 0, 0, "0-1")
PASSED = Check("forks", "forks", ours=100, kernel=100, bound=0.01, slack=0)
SWITCHES = Check("context_switches", "switches", ours=9_999, kernel=10_000, bound=0.01, slack=50)


def judged(
    stream: StreamCounts = GOOD,
    faults: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
    checks: tuple[Check, ...] = (PASSED, SWITCHES),
    misses: int = 0,
    after: Edge = EDGE,
    overflow: int = 0,
    gaps: tuple[str, ...] = (),
) -> Verdict:
    return judge(
        Findings(
            streams={"runqlat": stream},
            edges=(EDGE, after),
            checks=checks,
            faults=faults or {},
            gaps=gaps,
            missing_sections=missing or {},
            programs=[{"hook": "sched_switch", "recursion_misses": misses}],
            overflow={"runqlat": overflow},
        )
    )


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_a_run_of_which_nothing_is_missing() -> None:
    verdict = judged()
    assert (verdict.verdict, verdict.reasons) == (COMPLETE, ())
    assert verdict.evidence()["streams"]["runqlat"]["produced"] == 10_000


def test_an_empty_run_is_complete() -> None:
    assert judged(StreamCounts(), checks=()).verdict == COMPLETE


@pytest.mark.parametrize(
    ("wrong", "code", "verdict", "expected"),
    [
        ({"stream": replace(GOOD, received=9_997, lost=3)}, "lost", DEGRADED, "3 of 10,000 events"),
        ({"stream": replace(GOOD, received=9_999)}, "unaccounted", INVALID, "9,999 received"),
        ({"stream": replace(GOOD, collided=7)}, "collided", DEGRADED, "7 intervals"),
        ({"stream": replace(GOOD, collided=1)}, "collided", DEGRADED, "1 interval shared"),
        (
            {"stream": replace(GOOD, unmatched=5_000)},
            "unmatched",
            DEGRADED,
            "5,000 intervals",
        ),
        ({"misses": 4}, "recursion", DEGRADED, "sched_switch: skipped 4 times by the"),
        ({"misses": 1}, "recursion", DEGRADED, "sched_switch: skipped 1 time by the"),
        ({"overflow": 2}, "overflow", DEGRADED, "2 latencies beyond"),
        ({"overflow": 1}, "overflow", DEGRADED, "1 latency beyond"),
        ({"missing": {"exec": "why"}}, "section_unavailable", DEGRADED, "exec: why"),
        ({"faults": {"supervisor_lost": "gone"}}, "supervisor_lost", INVALID, "gone"),
        ({"gaps": ("outside",)}, "scope_incomplete", DEGRADED, "outside"),
        ({"after": replace(EDGE, suspended_ns=3 * 10**9)}, "suspended", DEGRADED, "3.0 s"),
        ({"after": replace(EDGE, online_cpus="0")}, "cpus_changed", DEGRADED, "0-1, then 0"),
        ({"checks": (replace(PASSED, ours=50),)}, "check_failed", DEGRADED, "forks: 50"),
    ],
)
def test_what_is_wrong_is_named(
    wrong: Mapping[str, Any], code: str, verdict: str, expected: str
) -> None:
    found = judged(**wrong)
    assert found.verdict == verdict
    assert codes(found) == [code]
    [text] = found.evidence()["reasons"]
    assert text.startswith(f"{code}: ")
    assert expected in text


def test_events_that_cease_make_a_run_invalid() -> None:
    """The programs may be gone without notice; the kernel's own count shows it."""
    ceased = judged(checks=(replace(SWITCHES, ours=4_000),))
    assert ceased.verdict == INVALID
    assert "events_ceased" in codes(ceased)


def test_the_worst_reason_decides_and_all_are_listed() -> None:
    verdict = judged(replace(GOOD, received=9_997, lost=3), faults={"supervisor_lost": "gone"})
    assert verdict.verdict == INVALID
    assert sorted(codes(verdict)) == ["lost", "supervisor_lost"]


def test_a_few_ends_without_a_beginning_are_those_of_the_start() -> None:
    assert judged(replace(GOOD, unmatched=5)).verdict == COMPLETE


def test_nothing_could_be_measured() -> None:
    verdict = unavailable("no_btf", "no types")
    assert verdict.verdict == INVALID
    assert verdict.evidence()["reasons"] == ["no_btf: no types"]


def test_folding_in_the_kernel_is_a_reason_where_it_loses_something() -> None:
    streams = {name: replace(GOOD, folded=300) for name in ("runqlat", "biolatency", "softirq")}
    lossy = {"biolatency": "their device is not known", "softirq": "nor is their vector"}
    streams["softirq"] = replace(GOOD, folded=0)
    verdict = judge(Findings(streams=streams, edges=(EDGE, EDGE), lost_by_folding=lossy))
    assert verdict.verdict == DEGRADED
    [text] = verdict.evidence()["reasons"]
    assert text.startswith("folded: biolatency: 300 of 10,000 events folded in the kernel")
    assert text.endswith(": their device is not known")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(10, 410, True), (10, 200, False), (None, 410, False), (10, None, False), (10, 5, False)],
)
def test_process_1_is_named_only_where_it_ran_often_enough(
    before: int | None, after: int | None, told: bool
) -> None:
    edges = replace(EDGE, process_1_switches=before), replace(EDGE, process_1_switches=after)
    verdict = judge(
        Findings(
            streams={"runqlat": replace(GOOD, unmatched=500)}, edges=edges, unseen_switches=500
        )
    )
    assert codes(verdict) == ["unmatched", "unseen"]
    for reason in verdict.reasons:
        assert ("Process 1 ran 400 times" in reason.text) == told
