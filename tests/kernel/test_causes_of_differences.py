"""Pairs of programs of which one does a known thing for longer: the result names that, or none."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from fakes.needs import lacking
from fakes.real_agent import RealAgent, running
from fakes.series import series

from agent.comparison.differences import FEW
from agent.comparison.kept import compare_groups
from agent.store.documents import runs_of
from agent.store.run import IMPORT
from benchmarks.cause_pairs import PAIRS, Commands, Pair, one_cause
from benchmarks.cause_surroundings import member_of

pytestmark = [
    pytest.mark.usefixtures("as_from_a_shell"),
    pytest.mark.skipif(os.geteuid() != 0, reason="cgroups, loop devices and CPUs need root"),
]

SIDES = ("baseline", "optimized")
RUNS = 10
ATTEMPTS = 4
"""Others use this machine."""
OTHERS = "competition for the CPU"
HYPERVISOR = "the hypervisor"
AS_WELL = {"wakeups": (OTHERS, HYPERVISOR)}
"""What may be the larger part where others use this machine: they come to CPUs that sleep between
wake-ups more often than to those that are kept awake. Likewise their host, if it is a virtual
machine: a CPU that sleeps is given to others, and until it is back its time counts as stolen."""
KINDS = [pair for pair in PAIRS if pair.cause]


@pytest.fixture(scope="module")
def agent() -> Iterator[RealAgent]:
    """An agent with one transport: each of the many comparisons takes seconds."""
    with running([]) as agent:
        yield agent


def compared(agent: RealAgent, file: Path, both: Commands) -> tuple[dict[str, Any], str]:
    """Return the cause that `run` names, and its first sentence."""
    saved, said = saved_series(agent, file, both)
    cause: dict[str, Any] = saved["comparison"]["cause"]
    return cause, said


def as_groups(saved: dict[str, Any]) -> dict[str, Any]:
    """Return the cause that is found of the same runs without what makes them pairs."""
    runs = [replace(run, series=None) for run in runs_of(saved, IMPORT)]
    before, after = ([run for run in runs if run.side == side] for side in SIDES)
    comparison = compare_groups(before, after)["comparison"]
    assert comparison["method"] == "groups"
    cause: dict[str, Any] = comparison["cause"]
    return cause


def saved_series(agent: RealAgent, file: Path, both: Commands) -> tuple[dict[str, Any], str]:
    sides = ["--baseline", shlex.join(both.shorter), "--optimized", shlex.join(both.longer)]
    inside = member_of(both.group, []) if both.group else []
    done = series(agent.url, file, *sides, "--runs", RUNS, "--warmup", 1, prefix=inside)
    assert done.status == 0, done.said
    return done.saved, " ".join(re.sub(r"\n\n.*", "", done.said, flags=re.DOTALL).split())


@pytest.mark.thorough
@pytest.mark.parametrize("pair", KINDS, ids=[pair.name for pair in KINDS])
def test_the_cause_is_named_and_never_another(pair: Pair, agent: RealAgent, tmp_path: Path) -> None:
    if why := pair.check():
        lacking(f"what it takes to compare {pair.name}: {why.reason}")
    said = []
    with pair.commands() as both:
        for attempt in range(ATTEMPTS):
            saved, told = saved_series(agent, tmp_path / f"{attempt}", both)
            causes = [saved["comparison"]["cause"], as_groups(saved)]
            assert causes[0]["name"] in (pair.cause, None, *AS_WELL.get(pair.name, ())), told
            # what others take of one side only shows in groups; pairs have it on both
            as_well = {OTHERS, *AS_WELL.get(pair.name, ())}
            assert causes[1]["name"] in (pair.cause, None, *as_well), (told, causes[1])
            if all(cause["name"] == pair.cause for cause in causes):
                return
            if not any(of_others(cause, saved) for cause in causes):
                said.append((told, causes))
    assert not said


def of_others(cause: dict[str, Any], saved: dict[str, Any]) -> bool:
    """Whether the difference drowned in what others did, or is mostly waiting for their CPUs.

    Or a part of it is what a hypervisor took: who computes longer loses more, and no cause that
    leaves that out is named then.
    """
    if cause["name"]:
        return cause["name"] in (OTHERS, HYPERVISOR)
    if cause["why_none"] != "no cause fits" or cause["part"] == "for a busy CPU":
        return True
    return stolen_more_ms(saved) >= FEW / 2 * cause["part_ms"]


def stolen_more_ms(saved: dict[str, Any]) -> float:
    """Return how much more a hypervisor took from one side than from the other, in the mean.

    It is counted in steps of 10 ms, which the rules compare by medians.
    """
    first, second = (
        fmean(run["evidence"].get("stolen_ms") or 0 for run in saved["runs"] if run["side"] == side)
        for side in SIDES
    )
    return abs(first - second)


@pytest.mark.thorough
def test_the_other_way_round_it_is_the_same_cause(agent: RealAgent, tmp_path: Path) -> None:
    cause, said = compared(
        agent, tmp_path / "x", Commands(one_cause("sleep", 320), one_cause("sleep", 20))
    )
    assert cause["name"] == "sleeping", said
    assert cause["part_ms"] == pytest.approx(300, rel=0.1)
    assert "by shorter sleep (blocked in clock_nanosleep" in said


@pytest.mark.thorough
def test_equal_commands_have_no_cause(agent: RealAgent, tmp_path: Path) -> None:
    same = one_cause("sleep", 30)
    cause, said = compared(agent, tmp_path / "x", Commands(same, same))
    assert cause["name"] is None, said


@pytest.mark.thorough
def test_the_cause_is_found_of_runs_that_were_made_one_after_the_other(
    agent: RealAgent, tmp_path: Path
) -> None:
    groups = []
    for ms in (20, 120):
        done = series(agent.url, tmp_path / f"{ms}", "--runs", 8, command=one_cause("sleep", ms))
        assert done.status == 0, done.said
        groups.append(runs_of(done.saved, IMPORT))
    document = compare_groups(*groups)
    assert document["compared"]["why_no_pairs"] == "they are not of one series"
    found = document["comparison"]
    assert (found["method"], found["order"]) == ("groups", "sequential")
    assert (found["outcome"], found["cause"]["name"]) == ("larger", "sleeping")
    assert found["cause"]["part_ms"] == pytest.approx(100, rel=0.1)
