"""Pairs of programs of which one does a known thing for longer: the result names that, or none."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.needs import lacking
from fakes.real_agent import RealAgent, running
from fakes.series import series

from benchmarks.cause_pairs import PAIRS, Commands, Pair, one_cause
from benchmarks.cause_surroundings import member_of

pytestmark = [
    pytest.mark.usefixtures("as_from_a_shell"),
    pytest.mark.skipif(os.geteuid() != 0, reason="cgroups, loop devices and CPUs need root"),
]

RUNS = 10
ATTEMPTS = 4
"""Others use this machine."""
KINDS = [pair for pair in PAIRS if pair.cause]


@pytest.fixture(scope="module")
def agent() -> Iterator[RealAgent]:
    """An agent with one transport: each of the many comparisons takes seconds."""
    with running([]) as agent:
        yield agent


def compared(agent: RealAgent, file: Path, both: Commands) -> tuple[dict[str, Any], str]:
    sides = ["--baseline", shlex.join(both.shorter), "--optimized", shlex.join(both.longer)]
    inside = member_of(both.group, []) if both.group else []
    done = series(agent.url, file, *sides, "--runs", RUNS, "--warmup", 1, prefix=inside)
    assert done.status == 0, done.said
    cause: dict[str, Any] = done.saved["comparison"]["cause"]
    return cause, " ".join(re.sub(r"\n\n.*", "", done.said, flags=re.DOTALL).split())


@pytest.mark.thorough
@pytest.mark.parametrize("pair", KINDS, ids=[pair.name for pair in KINDS])
def test_the_cause_is_named_and_never_another(pair: Pair, agent: RealAgent, tmp_path: Path) -> None:
    if why := pair.check():
        lacking(f"what it takes to compare {pair.name}: {why.reason}")
    said = []
    with pair.commands() as both:
        for attempt in range(ATTEMPTS):
            cause, told = compared(agent, tmp_path / f"{attempt}", both)
            assert cause["name"] in (pair.cause, None), told
            if cause["name"]:
                return
            if not of_others(cause):
                said.append(told)
    assert not said


def of_others(cause: dict[str, Any]) -> bool:
    """Whether the difference drowned in what others did, or is mostly waiting for their CPUs."""
    return cause["why_none"] != "no cause fits" or cause["part"] == "for a busy CPU"


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
