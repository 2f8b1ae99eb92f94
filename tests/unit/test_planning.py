"""What a kernel lacks costs the sections and details that need it, and has a reason.

The kernel is a text of facts, changed by each test.
"""

from pathlib import Path

import pytest
from fakes.kernel_facts import FACTS, Facts, changed

from agent.sections.probes import ALL_DETAILS, DEFAULT_SECTIONS, SECTIONS
from agent.streams.compiler.planning import Possible, available_programs, possible, without_search
from agent.streams.shared.plan import Plan

NEWEST = FACTS / "6.18-amd64.txt"
PLAN = Plan(SECTIONS, scoped=True, details=tuple(ALL_DETAILS)).possible()


def planned(text: str, plan: Plan = PLAN) -> Possible:
    return possible(Facts(text), plan.constants(), plan.sections)


@pytest.fixture
def text() -> str:
    return Path(NEWEST).read_text()


def test_a_kernel_that_has_everything(text: str) -> None:
    found = planned(text)
    assert found.sections == SECTIONS
    assert found.unavailable == {}
    assert found.constants["TASK_ON_CPU_SIZE"] == 4


def test_a_narrower_field_is_loaded_as_it_is(text: str) -> None:
    """``task_struct.on_cpu`` is one byte since 7.2."""
    found = planned(changed(text, "field task_struct.on_cpu", "52 1 1"))
    assert found.unavailable == {}
    assert (found.constants["TASK_ON_CPU"], found.constants["TASK_ON_CPU_SIZE"]) == (52, 1)


@pytest.mark.parametrize(
    ("fact", "value", "lost", "reason"),
    [
        ("field task_struct.on_cpu", "52 0 4", ["runqlat", "offcpu"], "on_cpu as a bit field"),
        (
            "field task_struct.se.sum_exec_runtime",
            "100 4 4",
            ["runqlat", "offcpu"],
            "sum_exec_runtime as 4 bytes instead of 8",
        ),
        (
            "field request.start_time_ns",
            "absent",
            ["biolatency"],
            "no field request.start_time_ns",
        ),
        (
            "tracepoint block_rq_issue",
            "request_queue, bio",
            ["biolatency"],
            "no request among the arguments of block_rq_issue (request_queue, bio)",
        ),
        ("tracepoint sys_enter", "absent", ["syscall_counts"], "no tracepoint sys_enter"),
        ("field task_struct.pid", "1000 2 2", SECTIONS, "task_struct.pid as 2 bytes"),
        (
            "enumerator bpf_func_id BPF_FUNC_ktime_get_boot_ns",
            "absent",
            SECTIONS,
            "no helper bpf_ktime_get_boot_ns",
        ),
    ],
)
def test_what_needs_a_missing_fact_is_missing_with_the_reason(
    text: str, fact: str, value: str, lost: list[str], reason: str
) -> None:
    found = planned(changed(text, fact, value))
    sections = [name for name in found.unavailable if name in SECTIONS]
    assert sections == list(lost)
    assert all(reason in found.unavailable[name] for name in lost)
    assert found.sections == tuple(s for s in SECTIONS if s not in lost)


@pytest.mark.parametrize(
    ("fact", "detail"),
    [
        ("tracepoint block_bio_queue", "bios"),
        ("field bio.bi_status", "bios"),
        ("tracepoint sched_waking", "waking"),
        ("enumerator bpf_func_id BPF_FUNC_get_stackid", "wait_functions"),
    ],
)
def test_a_detail_that_cannot_be_measured_costs_its_section_nothing(
    text: str, fact: str, detail: str
) -> None:
    found = planned(changed(text, fact, "absent"))
    assert found.unavailable.keys() == {detail}
    assert found.sections == SECTIONS


def test_what_serves_two_details_is_missed_in_both(text: str) -> None:
    found = planned(changed(text, "tracepoint sys_exit", "absent"))
    assert found.unavailable.keys() == {"syscalls", "exec_failures"}


def test_one_of_two_places_of_the_disk_is_enough(text: str) -> None:
    """``request.rq_disk`` went in 5.17, ``request_queue.disk`` came in 5.14."""
    old = changed(text, "field request_queue.disk", "absent")
    assert "no field request_queue.disk" in planned(old).unavailable["biolatency"]
    found = planned(changed(old, "field request.rq_disk", "104 8 8 pointer"))
    assert "biolatency" in found.sections
    assert "QUEUE_DISK" not in found.constants


def test_arguments_are_found_wherever_a_distribution_moved_them(text: str) -> None:
    moved = changed(text, "tracepoint block_rq_issue", "request_queue, request")
    moved = changed(moved, "tracepoint block_rq_requeue", "request")
    constants = planned(moved).constants
    assert (constants["BLOCK_ISSUE_REQUEST"], constants["BLOCK_REQUEUE_REQUEST"]) == (1, 0)


def test_without_the_helpers_of_newer_kernels_others_serve(text: str) -> None:
    """``bpf_get_current_task_btf`` came in 5.11, ``bpf_task_pt_regs`` in 5.15."""
    names = ("get_current_task_btf", "task_pt_regs")
    for name in names:
        text = changed(text, f"enumerator bpf_func_id BPF_FUNC_{name}", "absent")
    text = changed(text, "size struct pt_regs", "168")
    found = planned(text)
    assert found.unavailable == {}
    assert "HAVE_CURRENT_TASK_BTF" not in found.constants
    assert (found.constants["SEARCH_REGISTERS"], found.constants["PT_REGS_SIZE"]) == (1, 168)


def test_a_program_without_its_tracepoint_is_left_out_if_it_is_optional(text: str) -> None:
    facts = Facts(changed(text, "tracepoint block_io_start", "absent"))
    found = possible(facts, PLAN.constants(), PLAN.sections)
    hooks = [p.hook for p in available_programs(facts, found.constants, found.sections)]
    assert "block_io_start" not in hooks
    assert "block_rq_issue" in hooks
    assert "HAVE_BLOCK_IO_START" not in found.constants
    assert set(DEFAULT_SECTIONS) <= set(found.sections)


@pytest.mark.parametrize("lacking", ["cgroup_rmdir", "cgroup_mkdir"])
def test_two_programs_that_go_together_are_both_left_out(text: str, lacking: str) -> None:
    facts = Facts(changed(text, f"tracepoint {lacking}", "absent"))
    found = possible(facts, PLAN.constants(), PLAN.sections)
    hooks = {p.hook for p in available_programs(facts, found.constants, found.sections)}
    assert not hooks & {"cgroup_rmdir", "cgroup_mkdir"}
    assert not found.constants.keys() & {"HAVE_CGROUP_RMDIR", "HAVE_CGROUP_MKDIR"}


def test_where_registers_are_not_found_that_is_said_and_nothing_else_is_missing(text: str) -> None:
    facts = changed(text, "enumerator bpf_func_id BPF_FUNC_task_pt_regs", "absent")
    searching = planned(changed(facts, "size struct pt_regs", "168"))
    assert searching.unavailable == {}
    found = without_search(searching, "0 distances")
    assert found.unavailable.keys() == {"reasons"}
    assert "refused: 0 distances" in found.unavailable["reasons"]
    assert found.sections == SECTIONS
    assert "SEARCH_REGISTERS" not in found.constants
    assert without_search(planned(text), "0 distances") == planned(text)
    unknown = changed(text, "field pt_regs.orig_ax", "absent")
    unknown = changed(unknown, "field pt_regs.syscallno", "absent")
    assert planned(unknown).unavailable.keys() == {"reasons"}
