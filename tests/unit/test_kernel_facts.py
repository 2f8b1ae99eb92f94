"""Runs planned against other kernels, by facts that were extracted from them without booting.

tools/kernel_facts.py writes the texts; a fact that the code asks for and a text lacks fails.
"""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from fakes.kernel_facts import FACTS, TOOL, Facts, changed, tool

from agent.sections.probes import ALL_DETAILS, SECTIONS
from agent.streams.compiler.btf import KIND_FUNC, KIND_STRUCT
from agent.streams.compiler.newer_kernels import CAST, PREEMPTED, PREEMPTION, SCHEDULE
from agent.streams.compiler.planning import Possible, available_programs, possible
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.kernel_files import BTF
from agent.streams.shared.plan import Plan

FILES = sorted(FACTS.glob("*.txt"))
NAMES = [file.stem for file in FILES]
KERNELS = ("5.10", "6.1", "6.12", "6.18", "7.3")
ARCHITECTURES = ("amd64", "arm64")


def described(plan: Plan) -> str:
    return f"{'scope' if plan.scoped else 'machine'}-{plan.timing}-{plan.transport}"


def facts(name: str) -> Facts:
    return Facts(FACTS.joinpath(f"{name}.txt").read_text())


def planned(name: str, plan: Plan) -> Possible:
    return possible(facts(name), plan.constants(), plan.sections)


def everything(timing: str = "clock", *, scoped: bool = True) -> Plan:
    return Plan(SECTIONS, scoped, timing, details=tuple(ALL_DETAILS)).possible()


def test_there_are_facts_of_each_kernel_that_is_supported() -> None:
    wanted = [f"{kernel}-{name}" for kernel, name in product(KERNELS, ARCHITECTURES)]
    assert sorted(wanted) == NAMES


@pytest.mark.parametrize("plan", list(tool.all_plans()), ids=described)
@pytest.mark.parametrize("name", NAMES)
def test_every_run_can_be_planned(name: str, plan: Plan) -> None:
    """All sections and all details: what some of these kernels lack is made up for."""
    found = planned(name, plan)
    assert found.unavailable == {}
    assert found.sections == plan.sections
    hooks = [p.hook for p in available_programs(facts(name), found.constants, found.sections)]
    assert ("cgroup_mkdir" in hooks) == plan.scoped


@pytest.mark.parametrize("name", NAMES)
def test_reasons_of_blocked_time_are_known(name: str) -> None:
    constants = planned(name, everything()).constants
    assert constants.keys() >= {"REGS_SYSCALL", "TASK_STACK"}
    assert ("HAVE_TASK_PT_REGS" in constants) != ("SEARCH_REGISTERS" in constants)
    assert ("SEARCH_REGISTERS" in constants) == name.startswith("5.10")


@pytest.mark.parametrize("name", NAMES)
def test_what_each_kernel_has_for_itself(name: str) -> None:
    constants = planned(name, everything()).constants
    old = name.startswith("5.10")
    assert ("REQUEST_DISK" in constants) == old
    assert ("QUEUE_DISK" in constants) != old
    assert ("HAVE_CURRENT_TASK_BTF" in constants) != old
    assert ("BIO_DISK" in constants) == old
    assert ("SWITCH_PREV_STATE" in constants) != old
    # 5.10's later releases have 5.11's arguments of the one, and not of the other
    assert constants["BLOCK_ISSUE_REQUEST"] == 0
    assert constants["BIO_QUEUE_BIO"] == (1 if old else 0)
    assert constants["TASK_ON_CPU_SIZE"] == (1 if name.startswith("7.") else 4)
    # x86 marks a call of the 32-bit table in a word of its own, arm64 in the flags of the task
    assert constants["TASK_ABI_STATUS_SIZE"] == (4 if name.endswith("amd64") else 8)


@pytest.mark.parametrize("name", NAMES)
def test_features_of_newer_kernels(name: str) -> None:
    """Which of them are refused although they are there is found by trying (trial.py)."""
    version = tuple(map(int, name.split("-")[0].split(".")))
    found = facts(name)
    has = {f: found.type_id(f, KIND_FUNC) is not None for f in (CAST, *PREEMPTION.values())}
    assert has[CAST] == (version >= (6, 2))
    assert has["bpf_preempt_disable"] == has["bpf_preempt_enable"] == (version >= (6, 10))
    schedule = [found.type_id(f, KIND_FUNC) is not None for f in SCHEDULE]
    assert schedule[0] == (version >= (7, 0))
    assert any(schedule) == (version >= (6, 18))
    assert (found.place_of(*PREEMPTED) is not None) == (version >= (7, 0))
    assert found.type_id("pt_regs", KIND_STRUCT)


def test_a_fact_that_was_not_written_down_is_named() -> None:
    with pytest.raises(tool.FactMissing, match=r"field task_struct\.no_such: .*kernel_facts\.py"):
        facts(NAMES[0]).place_of("task_struct", "no_such")


def test_the_tool_writes_what_it_reads(tmp_path: Path) -> None:
    """Of the running kernel: what is written is answered as its BTF answers."""
    if not BTF.exists():
        pytest.skip("no BTF")
    subprocess.run([sys.executable, TOOL, "-o", tmp_path / "facts"], check=True)
    text = tmp_path.joinpath("facts").read_text()
    types = tool.KernelTypes()
    plan = everything()
    written = possible(Facts(text), plan.constants(), plan.sections)
    assert written == possible(types, plan.constants(), plan.sections)
    assert changed(text, "size struct pt_regs", "1") != text


def test_a_kernel_that_cannot_be_read_without_libbpf_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_libbpf(file: Path) -> str:
        raise CannotCollect("there is no libbpf", code="no_libbpf")

    monkeypatch.setattr(tool, "text_of", without_libbpf)
    monkeypatch.setattr(sys, "argv", ["kernel_facts", "vmlinux"])
    assert tool.main() == 1
    assert capsys.readouterr().err == "vmlinux: there is no libbpf\n"
