"""Forks, exits and execs have two programs where the first may be skipped: either sees each event.

This kernel does not preempt programs, so it is made to look like one that does, and the first
program is left out instead of skipped.
"""

import os
import subprocess

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.needs import needs_preemption_control

from agent.words import Json

pytestmark = needs_preemption_control

EXECS = 40
HOOKS = ("task_newtask", "sched_process_exit", "sched_process_exec")


def measured(copy: Copy, *command: str) -> Json:
    """Return the evidence of a run whose scope executes a command this often."""
    with copy.launched() as agent:
        agent.settle()
        agent.start(scope={"pid": os.getpid()})
        for _ in range(EXECS):
            subprocess.run(command or ["/bin/true"], check=True)
        return agent.stop()


def assert_each_counts_once(evidence: Json) -> None:
    executed = evidence["exec"]
    assert executed["exec_count"] == executed["exits"] == executed["forks"] == EXECS
    by_command = {row["command"]: row for row in evidence["wall"]["by_command"]["top"]}
    assert by_command["true"]["threads"] == EXECS


def hooks_of(evidence: Json) -> list[str]:
    return [program["hook"] for program in evidence["overhead"]["programs"]]


@pytest.mark.thorough
def test_what_both_programs_see_counts_once(copy: Copy) -> None:
    copy.inject(faults.programs_may_be_preempted)
    evidence = measured(copy)
    assert "unavailable" not in evidence
    assert {f"{hook}/2" for hook in HOOKS} <= set(hooks_of(evidence))
    assert_each_counts_once(evidence)


@pytest.mark.thorough
def test_the_second_program_sees_what_the_first_one_misses(copy: Copy) -> None:
    """Except for that of execs, without which there is no section exec."""
    copy.inject(faults.programs_may_be_preempted)
    for hook in HOOKS[:2]:
        copy.inject(faults.attaching_is_refused, hook)
    assert_each_counts_once(measured(copy))


@pytest.mark.thorough
def test_a_mark_that_no_second_program_saw_is_of_no_other_event(copy: Copy) -> None:
    """The shell has forked, without a second program, before it exits without a first one."""
    copy.inject(faults.programs_may_be_preempted)
    copy.inject(faults.attaching_is_refused, "task_newtask/2")
    copy.inject(faults.attaching_is_refused, "sched_process_exit")
    executed = measured(copy, "sh", "-c", "/bin/true; exit 0")["exec"]
    assert executed["exec_count"] == executed["exits"] == executed["forks"] == 2 * EXECS


@pytest.mark.thorough
@pytest.mark.parametrize("hook", HOOKS)
def test_a_second_program_that_is_missing_is_named_and_costs_no_event(
    copy: Copy, hook: str
) -> None:
    copy.inject(faults.programs_may_be_preempted)
    copy.inject(faults.attaching_is_refused, f"{hook}/2")
    evidence = measured(copy)
    assert list(evidence["unavailable"]) == ["preemption"]
    assert f"{hook}/2" in evidence["unavailable"]["preemption"]
    assert_each_counts_once(evidence)
    reasons = evidence["completeness"]["reasons"]
    assert not [reason for reason in reasons if reason.startswith("scope_incomplete")]
