"""Programs that do not compile, are rejected by the verifier or lack a hook; a compiler that dies.

Each agent here runs from a copy of the package with one fault.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.durations import assert_lasted
from fakes.processes import Bpftool, Launched, held
from fakes.program import program
from fakes.waiting import eventually

from agent.sections.probes import DEFAULT_SECTIONS
from agent.words import Json

OF_ALL_SECTIONS = 8
"""A plan of all sections has as many programs or more, one of a single section fewer."""

OTHERS = [section for section in DEFAULT_SECTIONS if section != "biolatency"]


Broken = tuple[Any, ...]
"""A fault and its arguments."""


def refused(function: str) -> list[Broken]:
    """Return the faults that make the verifier reject the program of this function."""
    return [(faults.in_c, "OUT_OF_BOUNDS"), (faults.runs_instead, function, "out_of_bounds")]


def nothing_is_attached(agent: Launched, bpftool: Bpftool) -> bool:
    return not bpftool.linked(bpftool.programs(held(agent.supervisor, "map")))


@pytest.mark.thorough
def test_what_does_not_compile_is_reported_and_tried_again(copy: Copy, bpftool: Bpftool) -> None:
    copy.inject(faults.in_c, "DOES_NOT_COMPILE")
    with copy.launched() as agent:
        started = agent.start()
        assert (started["available"], started["code"]) == (False, "compile_failed")
        assert "broken on purpose" in started["reason"]
        assert agent.status()["ebpf"]["reason"] == started["reason"]
        assert nothing_is_attached(agent, bpftool)
        evidence = agent.stop()
        assert (evidence["available"], evidence["reason"]) == (False, started["reason"])
        assert not set(DEFAULT_SECTIONS) & evidence.keys()
        copy.mend()
        with agent.run():
            pass


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ([(faults.in_c, "BIOLATENCY_DOES_NOT_COMPILE")], "on purpose"),
        (refused("on_block_rq_issue"), "unbounded"),
        (
            [(faults.kernel_lacks, "btf_trace_block_rq_complete")],
            "tracepoint block_rq_complete",
        ),
        (
            [(faults.kernel_lacks, "request.start_time_ns")],
            "no field request.start_time_ns",
        ),
    ],
    ids=["does not compile", "refused by the verifier", "no tracepoint", "no field"],
)
def test_one_section_is_missing_and_the_others_run(
    copy: Copy, bpftool: Bpftool, broken: list[Broken], expected: str
) -> None:
    for fault in broken:
        copy.inject(*fault)
    with copy.launched() as agent:
        started = agent.start()
        assert started["armed"] == OTHERS
        assert expected in started["unavailable"]["biolatency"]
        for _ in range(20):
            # each sleep ends in a wakeup, and a run this short may have no other events
            time.sleep(0.001)
        evidence = agent.stop()
        assert evidence["available"]
        assert evidence["unavailable"] == started["unavailable"]
        assert evidence["completeness"]["verdict"] == "degraded"
        assert set(OTHERS) <= evidence.keys()
        assert "biolatency" not in evidence
        assert evidence["runqlat"]["count"] > 0
        assert nothing_is_attached(agent, bpftool)
        attached = bpftool.programs(held(agent.supervisor, "map")).values()
        assert not any(name.startswith("cba_rq_") for name in attached)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ((faults.kernel_lacks, "bpf_rdonly_cast"), ""),
        ((faults.wrong_kernel_function, "MARK_CAST"), "Invalid argument"),
        ((faults.registers_at_two_distances,), "2 distances"),
    ],
    ids=["an older kernel", "refused by the verifier", "fails"],
)
def test_reasons_are_known_without_what_newer_kernels_have(
    copy: Copy, fault: Broken, expected: str
) -> None:
    """A missing kernel feature is not logged; a feature that the kernel refuses is."""
    copy.inject(*fault)
    with (
        copy.launched() as agent,
        program("blocked") as blocked,
        agent.run(scope=blocked.scope) as run,
    ):
        own_ms = blocked.work("sleep 0.5")["ms"]
        log = agent.log
    assert ("optional kernel features disabled" in log) == bool(expected)
    assert expected in log
    [row] = [r for r in run.evidence["offcpu"]["top_reasons"] if r["reason"] == "clock_nanosleep"]
    assert_lasted(row["ms"], run.evidence, own_ms)


OLD_KERNEL = (
    *("BPF_FUNC_get_current_task_btf", "BPF_FUNC_task_pt_regs", "bpf_rdonly_cast"),
    "bpf_preempt_",
)
"""What came after 5.10."""


@pytest.mark.thorough
@pytest.mark.parametrize("scope", ["system", "caller"])
def test_without_the_helpers_of_newer_kernels_all_sections_run(copy: Copy, scope: str) -> None:
    """Why tasks are blocked is known unless the kernel leaves room above saved registers."""
    copy.inject(faults.kernel_lacks, *OLD_KERNEL)
    with copy.launched() as agent:
        started = agent.start(scope=scope, sections=[*DEFAULT_SECTIONS, "softirq"])
        assert started.get("armed") == [*DEFAULT_SECTIONS, "softirq"], started
        for _ in range(20):
            Path("/proc/self/stat").read_bytes()
            time.sleep(0.001)
        evidence = agent.stop()
        searched = "0 distances" not in agent.log
    assert started["unavailable"].keys() == (set() if searched else {"reasons"})
    assert evidence["syscall_counts"]["read"] >= 20
    assert evidence["runqlat"]["count"] > 0
    reasons = {row["reason"] for row in evidence["offcpu"]["top_reasons"]}
    assert ("clock_nanosleep" in reasons) == searched
    assert ("unknown" in reasons) != searched


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("task_struct.sched_info.", {}),
        ("task_struct.sched_info.", {"timing": "accounting", "scope": "caller"}),
        ("task_struct.on_cpu", {"details": ["syscalls"], "scope": "caller"}),
    ],
    ids=["SCHED_INFO", "SCHED_INFO, by accounting", "SMP"],
)
def test_without_the_schedulers_account_what_does_not_need_it_runs(
    copy: Copy, field: str, body: dict[str, Any]
) -> None:
    """Simulate a kernel without a configuration option: whatever else is asked for compiles."""
    copy.inject(faults.kernel_lacks, field)
    with copy.launched() as agent:
        started = agent.start(**body)
        assert started["available"], started["reason"]
        assert started["unavailable"].keys() == {"runqlat", "offcpu"}
        assert started["armed"] == ["biolatency", "exec", "syscall_counts"]
        assert agent.stop()["available"]


@pytest.mark.thorough
def test_a_refused_program_that_every_section_needs(copy: Copy, bpftool: Bpftool) -> None:
    for fault in refused("on_task_newtask"):
        copy.inject(*fault)
    with copy.launched() as agent:
        agent.settle()
        ebpf = agent.status()["ebpf"]
        assert (ebpf["available"], ebpf["code"]) == (False, "load_failed")
        assert "unbounded" in ebpf["reason"]
        assert not bpftool.programs(held(agent.supervisor, "map"))


@pytest.mark.thorough
def test_without_what_says_who_belongs_to_a_run_it_is_degraded(copy: Copy) -> None:
    """It is no section's own program, so no section is missing."""
    copy.inject(faults.attaching_is_refused, "task_newtask")
    with copy.launched() as agent, agent.run() as run:
        pass
    assert run.evidence["completeness"]["verdict"] == "degraded"
    [reason] = [
        reason
        for reason in run.evidence["completeness"]["reasons"]
        if reason.startswith("scope_incomplete")
    ]
    assert "cannot attach to task_newtask: Device or resource busy" in reason


# --- the compiler process itself


def assert_failed(agent: Launched, bpftool: Bpftool, started: Json, code: str, text: str) -> None:
    assert (started["available"], started["code"]) == (False, code), started
    assert text in started["reason"]
    assert "tries again" in started["reason"]
    assert nothing_is_attached(agent, bpftool)
    assert agent.stop()["completeness"]["verdict"] == "invalid"


@pytest.mark.thorough
def test_a_compiler_that_crashes_is_reported_and_tried_again(copy: Copy, bpftool: Bpftool) -> None:
    copy.inject(faults.crashes_with_fewer_programs_than, OF_ALL_SECTIONS)
    with copy.launched() as agent:
        agent.settle()
        started = agent.start(sections=["exec"])
        assert_failed(agent, bpftool, started, "compiler_crashed", "killed by SIGSEGV")
        copy.mend()
        with agent.run(sections=["exec"]):
            pass


@pytest.mark.thorough
def test_a_compiler_that_hangs_is_reported_and_tried_again(copy: Copy, bpftool: Bpftool) -> None:
    """A busy machine needs longer than this limit, so that no compilation has to succeed here."""
    copy.inject(faults.hangs_with_fewer_programs_than, OF_ALL_SECTIONS)
    with copy.launched("--compile-deadline", "2s") as agent, ThreadPoolExecutor() as pool:
        agent.settle()
        for _ in range(2):
            answer = pool.submit(agent.start, sections=["exec"])
            [compiler] = eventually(agent.compilers)
            assert agent.processes()["compiler"] == compiler
            assert_failed(agent, bpftool, answer.result(), "compiler_timeout", "2 s")


@pytest.mark.thorough
def test_the_wall_time_of_each_scoped_run_costs_no_section(copy: Copy) -> None:
    for fault in refused("on_iter_wall"):
        copy.inject(*fault)
    with (
        copy.launched() as agent,
        program("blocked") as blocked,
        agent.run(scope=blocked.scope) as run,
    ):
        blocked.work("sleep 0.01")
    assert set(DEFAULT_SECTIONS) <= run.evidence.keys()
    assert not run.evidence["wall"]["available"]
    assert "unbounded" in run.evidence["wall"]["reason"]
